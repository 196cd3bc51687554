package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Seeds;
import dev.kindling.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** Products that round to TF32, computed on the CPU: near fp32's, and not the same. */
class Tf32Test {
  private static Tensor drawn(Backend backend, int seed, int rows, int columns) {
    Tensor t = backend.allocate(DType.F32, rows, columns);
    backend.write(t, 0, Seeds.normal(seed, rows * columns, 1), 0, rows * columns);
    return t;
  }

  /** y = x·wᵀ by a frozen w, then s = y·a. */
  private static float[] products(Precision precision) {
    try (Backend backend = Shimmed.open(precision, CudaBackend.MOST_SCORES)) {
      FrozenMatrix w = backend.freeze(drawn(backend, 1, 33, 65));
      Tensor y = backend.allocate(DType.F32, 17, 33);
      backend.linear(drawn(backend, 2, 17, 65), w, null, y, false);
      Tensor s = backend.allocate(DType.F32, 17, 5);
      backend.matmul(y, false, drawn(backend, 3, 33, 5), false, 1, 0, s);
      float[] found = new float[17 * 5];
      backend.read(s, found);
      w.release();
      return found;
    }
  }

  @Test
  void products_inTf32_areOffByWhatTheyRound() {
    float[] exact = products(Precision.FP32);
    float[] rounded = products(Precision.TF32);
    double off = 0;
    double size = 0;
    for (int i = 0; i < exact.length; i++) {
      off += Math.pow((double) rounded[i] - exact[i], 2);
      size += Math.pow(exact[i], 2);
    }
    assertThat(Math.sqrt(off / size)).isBetween(1e-5, 1e-3);
  }

  /** What follows from it for plans: nothing is merged unasked. */
  @Test
  void backend_inTf32_saysThatItRounds() {
    for (Precision precision : Precision.values()) {
      try (Backend backend =
          new CudaBackend(precision, WorkQueue.oneByOne(new NoDevice()), CudaBackend.MOST_SCORES)) {
        assertThat(backend.rounds()).isEqualTo(precision != Precision.FP32);
      }
    }
  }
}
