package dev.kindling.model.decoder;

import dev.kindling.model.Block;
import dev.kindling.nn.Embedding;
import dev.kindling.nn.Norm;
import dev.kindling.nn.TokenLoss;
import dev.kindling.nn.UsesScratch;
import dev.kindling.tensor.AttentionShape;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a family brings to a decoder.
 *
 * @param words table of token ids
 * @param places table of positions, added to the words; null where positions are rotations
 * @param heads shape of the attention for one sequence of one token
 * @param hidden d
 * @param linears those of the blocks, and what joins them
 */
public record DecoderParts<S, G>(
    Embedding words,
    @Nullable Embedding places,
    List<? extends Block<S, G>> blocks,
    Norm lastNorm,
    TokenLoss loss,
    AttentionShape heads,
    int hidden,
    Collection<? extends UsesScratch> linears) {
  /** All that shares the scratch of linear layers. */
  List<UsesScratch> scratchUsers() {
    List<UsesScratch> users = new ArrayList<>(linears);
    users.add(loss);
    return users;
  }

  /** Whether an embedding learns. */
  boolean embeddingsTrain() {
    return words.trains() || (places != null && places.trains());
  }
}
