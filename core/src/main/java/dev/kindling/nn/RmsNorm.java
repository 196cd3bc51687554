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
  public Saved save(Arena.Layout arena, int rows) {
    return new Saved(arena.real(rows, gamma.columns()), arena.real(rows, 1));
  }

  @Override
  public void forward(Tensor x, Saved saved) {
    backend.rmsNorm(x, gamma, epsilon, saved.y(), saved.statistics());
  }

  @Override
  public void backward(Tensor x, Saved saved, Tensor dy, Tensor dx) {
    backend.rmsNormBackward(dy, x, gamma, saved.statistics(), dx);
  }
}
