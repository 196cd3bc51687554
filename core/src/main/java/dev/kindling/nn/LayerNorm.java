package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;

/**
 * Frozen layer normalisation of rows x [N, d].
 *
 * @param gamma [d]
 * @param beta [d]
 * @param epsilon added to the variance
 */
public record LayerNorm(Backend backend, Tensor gamma, Tensor beta, double epsilon) {
  /**
   * What the backward reads.
   *
   * @param x input [N, d]
   * @param y output [N, d], which the next layer reads
   * @param statistics [N, 2]
   */
  public record Saved(Tensor x, Tensor y, Tensor statistics) {}

  /** Takes what a step with {@code rows} rows keeps. */
  public Saved save(Arena.Layout arena, int rows) {
    int d = gamma.columns();
    return new Saved(arena.real(rows, d), arena.real(rows, d), arena.real(rows, 2));
  }

  /** Normalises {@code saved.x} into {@code saved.y}. */
  public void forward(Saved saved) {
    backend.layerNorm(saved.x, gamma, beta, epsilon, saved.y, saved.statistics);
  }

  /** Gradient of the input. */
  public void backward(Saved saved, Tensor dy, Tensor dx) {
    backend.layerNormBackward(dy, saved.x, gamma, saved.statistics, dx);
  }
}
