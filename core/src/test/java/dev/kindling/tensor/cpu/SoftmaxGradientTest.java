package dev.kindling.tensor.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** p ∘ (dp − Σ p ∘ dp) of each row, against the same in float64. */
class SoftmaxGradientTest {
  @ParameterizedTest
  @CsvSource({"1,1", "3,7", "5,16", "2,301"})
  void of_rowsOfAnyLength_equalsTheDefinition(int rows, int keys) {
    Random random = new Random(7);
    float[] p = new float[rows * keys];
    float[] dp = new float[rows * keys];
    for (int i = 0; i < p.length; i++) {
      p[i] = i < keys && rows > 1 ? 0 : random.nextFloat() / keys; // a first row that sees nothing
      dp[i] = (float) random.nextGaussian();
    }
    Tensor chances = CpuMemory.allocate(DType.F32, rows, keys);
    Tensor slopes = CpuMemory.allocate(DType.F32, rows, keys);
    CpuMemory.floats(chances).put(0, p);
    CpuMemory.floats(slopes).put(0, dp);
    try (Workers workers = new Workers(1)) {
      new SoftmaxGradient(workers).of(0, chances, slopes, keys);
    }
    for (int row = 0; row < rows; row++) {
      double mean = 0;
      for (int k = row * keys; k < (row + 1) * keys; k++) {
        mean += (double) p[k] * dp[k];
      }
      for (int k = row * keys; k < (row + 1) * keys; k++) {
        assertThat((double) CpuMemory.floats(slopes).get(k))
            .isCloseTo(p[k] * (dp[k] - mean), offset(1e-6));
      }
    }
    CpuMemory.free(chances);
    CpuMemory.free(slopes);
  }
}
