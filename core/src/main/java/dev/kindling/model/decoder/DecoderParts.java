package dev.kindling.model.decoder;

import dev.kindling.nn.Norm;
import dev.kindling.nn.TokenLoss;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Tensor;
import java.util.List;

/**
 * What a family brings to a decoder.
 *
 * @param embedding writes the embeddings of ids [N] at positions [N] to out [N, d]
 * @param heads shape of the attention for one sequence of one token
 * @param hidden d
 * @param widest widest input of a linear layer
 */
public record DecoderParts<S extends DecoderBlock.Saved, G>(
    Embedding embedding,
    List<? extends DecoderBlock<S, G>> blocks,
    Norm lastNorm,
    TokenLoss loss,
    AttentionShape heads,
    int hidden,
    int widest) {
  /** From tokens to the first block's input. */
  public interface Embedding {
    /** Writes out [N, d]. */
    void forward(Tensor ids, Tensor positions, Tensor out);
  }

  /** The attention's shape in a batch. */
  AttentionShape shape(int batch, int tokens) {
    return new AttentionShape(
        batch, tokens, heads.heads(), heads.kvHeads(), heads.headSize(), true);
  }
}
