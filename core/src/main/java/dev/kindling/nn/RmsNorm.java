package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;

/**
 * Root-mean-square normalisation.
 *
 * @param gamma [d]
 * @param epsilon added to the mean of squares
 */
public record RmsNorm(Backend backend, Tensor gamma, double epsilon) implements Norm {
  @Override
  public Tensor statistics(Arena.Layout arena, int rows) {
    return arena.real(rows, 1);
  }

  @Override
  public int features() {
    return gamma.columns();
  }

  @Override
  public void forward(Tensor x, Tensor y, Tensor statistics) {
    backend.rmsNorm(x, gamma, epsilon, y, statistics);
  }

  @Override
  public void backward(Tensor x, Tensor statistics, Tensor dy, Tensor dx) {
    backend.rmsNormBackward(dy, x, gamma, epsilon, statistics, dx);
  }
}
