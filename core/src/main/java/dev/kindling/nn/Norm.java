package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Tensor;

/** A frozen normalisation of rows x [N, d]. */
public sealed interface Norm permits LayerNorm, RmsNorm {
  /**
   * What the backward reads besides x.
   *
   * @param y output [N, d], which the next layer reads
   * @param statistics [N, 2] of a layer norm, [N, 1] of an RMS norm
   */
  record Saved(Tensor y, Tensor statistics) {}

  /** Takes what a step with {@code rows} rows keeps. */
  Saved save(Arena.Layout arena, int rows);

  /** Normalises x into {@code saved.y}. */
  void forward(Tensor x, Saved saved);

  /** Gradient of the input. */
  void backward(Tensor x, Saved saved, Tensor dy, Tensor dx);
}
