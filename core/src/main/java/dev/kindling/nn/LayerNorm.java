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
  public Saved save(Arena.Layout arena, int rows) {
    return new Saved(arena.real(rows, gamma.columns()), arena.real(rows, 2));
  }

  @Override
  public void forward(Tensor x, Saved saved) {
    backend.layerNorm(x, gamma, beta, epsilon, saved.y(), saved.statistics());
  }

  @Override
  public void backward(Tensor x, Saved saved, Tensor dy, Tensor dx) {
    backend.layerNormBackward(dy, x, gamma, saved.statistics(), dx);
  }
}
