package dev.kindling.model.decoder;

import dev.kindling.nn.Linear;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * One block of a family.
 *
 * @param <S> what its backward reads, besides the block's input
 * @param <G> gradients that all blocks share, free again after each block but for dx
 */
public interface DecoderBlock<S extends DecoderBlock.Saved, G> {
  /** What a block keeps of a step. */
  interface Saved {
    /** The block's output [N, d]. */
    Tensor y();
  }

  /**
   * One walk through the model.
   *
   * @param positions I32 [N]
   * @param lengths I32 [B]
   * @param linear scratch of the linear layers
   * @param training whether dropout applies
   */
  record Pass(
      AttentionShape shape,
      Tensor positions,
      Tensor lengths,
      Linear.Scratch linear,
      boolean training) {}

  /** Whether anything here learns. */
  boolean trains();

  /** Takes what a step keeps. */
  S save(Arena.Layout arena, AttentionShape shape);

  /** Takes what blocks share. */
  G scratch(Arena.Layout arena, AttentionShape shape);

  /** Writes {@code saved.y()}. */
  void forward(Pass pass, Tensor x, S saved, G scratch);

  /**
   * Writes the gradients of the block's layers.
   *
   * @param dy gradient of the block's output, overwritten
   * @param dx gradient of its input; null if nothing below learns
   */
  void backward(Pass pass, Tensor x, S saved, Tensor dy, @Nullable Tensor dx, G scratch);
}
