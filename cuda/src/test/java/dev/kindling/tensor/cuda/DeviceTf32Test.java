package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** The same with operands rounded to 11 bits: each product off by 2^-11 of its factors at most. */
class DeviceTf32Test extends BackendContract {
  @Override
  protected Backend open() {
    return OnDevice.open(Precision.TF32);
  }

  /** 1 + 2⁻¹² is 1 with 11 bits; in fp32 it is not. */
  @Test
  void product_inTf32_roundsWhatItMultiplies() {
    try (Backend backend = open()) {
      int n = 64;
      Tensor a = backend.allocate(DType.F32, n, n);
      Tensor b = backend.allocate(DType.F32, n, n);
      Tensor c = backend.allocate(DType.F32, n, n);
      float[] ones = new float[n * n];
      Arrays.fill(ones, 1 + 0x1p-12f);
      backend.write(a, 0, ones, 0, ones.length);
      Arrays.fill(ones, 1);
      backend.write(b, 0, ones, 0, ones.length);
      backend.matmul(a, false, b, false, 1, 0, c);
      backend.read(c, ones);
      assertThat(ones).containsOnly(n);
    }
  }

  @Override
  protected double tolerance(DType type) {
    return type == DType.F32 ? 2e-3 : super.tolerance(type);
  }
}
