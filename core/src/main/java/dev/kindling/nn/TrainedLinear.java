package dev.kindling.nn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * y = x·wᵀ + bias, both trained in full: PEFT's {@code modules_to_save}.
 *
 * @param w [out, in]
 * @param bias [out], or null
 * @param dw gradient of w
 * @param dbias gradient of bias
 */
record TrainedLinear(
    Backend backend, Tensor w, @Nullable Tensor bias, Tensor dw, @Nullable Tensor dbias)
    implements Linear {
  @Override
  public boolean trains() {
    return true;
  }

  @Override
  public void forward(Tensor x, Tensor y, Saved saved, Scratch scratch, boolean training) {
    backend.matmul(x, false, w, true, 1, 0, y);
    if (bias != null) {
      backend.addBias(y, bias);
    }
  }

  /** dw = dyᵀ·x; dbias = Σ rows of dy; dx = dy·w. */
  @Override
  public void backward(
      Tensor x,
      Saved saved,
      Tensor dy,
      @Nullable Tensor dx,
      boolean accumulate,
      Scratch scratch,
      boolean more) {
    backend.matmul(dy, true, x, false, 1, more ? 1 : 0, dw);
    if (dbias != null) {
      backend.addBiasBackward(dy, dbias, more);
    }
    if (dx != null) {
      backend.matmul(dy, false, w, false, 1, accumulate ? 1 : 0, dx);
    }
  }
}
