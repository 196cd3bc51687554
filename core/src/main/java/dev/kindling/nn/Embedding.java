package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/** A table [rows, d] read at ids [N]: frozen, frozen beside a low-rank pair, or trained. */
public sealed interface Embedding permits FrozenEmbedding, LoraEmbedding, TrainedEmbedding {
  /**
   * What the backward reads besides ids.
   *
   * @param p rows of the pair's a [N, r], or scratch [N, d] of a trained table; null if frozen
   * @param z scratch of a pair [N, r]
   */
  record Saved(@Nullable Tensor p, @Nullable Tensor z) {}

  /** Whether anything here learns. */
  boolean trains();

  /** Takes what a step with {@code rows} ids keeps. */
  default Saved save(Arena.Layout arena, int rows) {
    return new Saved(null, null);
  }

  /** Writes y [N, d], or adds to it with {@code accumulate}. */
  void forward(Tensor ids, Tensor y, boolean accumulate, Saved saved);

  /** Writes this table's gradients. */
  void backward(Tensor ids, Saved saved, Tensor dy);
}
