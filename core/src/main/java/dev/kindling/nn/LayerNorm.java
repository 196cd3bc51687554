package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;

/**
 * Layer normalisation.
 *
 * @param gamma [d]
 * @param beta [d]
 * @param epsilon added to the variance
 */
public record LayerNorm(Backend backend, Tensor gamma, Tensor beta, double epsilon)
    implements Norm {
  @Override
  public Tensor statistics(Arena.Layout arena, int rows) {
    return arena.real(rows, 2);
  }

  @Override
  public int features() {
    return gamma.columns();
  }

  @Override
  public void forward(Tensor x, Tensor y, Tensor statistics) {
    backend.layerNorm(x, gamma, beta, epsilon, y, statistics);
  }

  @Override
  public void backward(Tensor x, Tensor statistics, Tensor dy, Tensor dx) {
    backend.layerNormBackward(dy, x, gamma, epsilon, statistics, dx);
  }
}
