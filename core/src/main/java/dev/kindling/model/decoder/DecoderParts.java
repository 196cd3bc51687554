package dev.kindling.model.decoder;

import dev.kindling.model.Block;
import dev.kindling.nn.Embedding;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Norm;
import dev.kindling.nn.TokenLoss;
import dev.kindling.tensor.AttentionShape;
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
 * @param linears those of the blocks
 */
public record DecoderParts<S, G>(
    Embedding words,
    @Nullable Embedding places,
    List<? extends Block<S, G>> blocks,
    Norm lastNorm,
    TokenLoss loss,
    AttentionShape heads,
    int hidden,
    Collection<Linear> linears) {
  /** Whether an embedding learns. */
  boolean embeddingsTrain() {
    return words.trains() || (places != null && places.trains());
  }
}
