package dev.kindling.nn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * y = x·wᵀ + bias, never changed.
 *
 * @param w [out, in]
 * @param bias [out], or null
 */
record FrozenLinear(Backend backend, FrozenMatrix w, @Nullable Tensor bias) implements Linear {
  @Override
  public boolean trains() {
    return false;
  }

  @Override
  public void forward(Tensor x, Tensor y, Saved saved, Scratch scratch, boolean training) {
    backend.linear(x, w, bias, y, false);
  }

  /** dx = dy·w. */
  @Override
  public void backward(
      Tensor x,
      Saved saved,
      Tensor dy,
      @Nullable Tensor dx,
      boolean accumulate,
      Scratch scratch,
      boolean more) {
    if (dx != null) {
      backend.linearBackward(dy, w, dx, accumulate);
    }
  }
}
