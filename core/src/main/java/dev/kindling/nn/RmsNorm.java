package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;

/**
 * Frozen root-mean-square normalisation of rows x [N, d].
 *
 * @param gamma [d]
 * @param epsilon added to the mean of squares
 */
public record RmsNorm(Backend backend, Tensor gamma, double epsilon) {
  /**
   * What the backward reads besides x.
   *
   * @param y output [N, d], which the next layer reads
   * @param statistics [N, 1]
   */
  public record Saved(Tensor y, Tensor statistics) {}

  /** Takes what a step with {@code rows} rows keeps. */
  public Saved save(Arena.Layout arena, int rows) {
    return new Saved(arena.real(rows, gamma.columns()), arena.real(rows, 1));
  }

  /** Normalises x into {@code saved.y}. */
  public void forward(Tensor x, Saved saved) {
    backend.rmsNorm(x, gamma, epsilon, saved.y, saved.statistics);
  }

  /** Gradient of the input. */
  public void backward(Tensor x, Saved saved, Tensor dy, Tensor dx) {
    backend.rmsNormBackward(dy, x, gamma, saved.statistics, dx);
  }
}
