package dev.kindling.tensor.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Percentage.withPercentage;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Changes far below a weight's last bit are kept, on the whole. */
class DitherTest {
  private static final int ROWS = 257;
  private static final int COLUMNS = 1031;

  /** Weights of 1 to 2, whose last bit is 2⁻⁷. */
  private static float[] weights() {
    Random random = new Random(7);
    float[] values = new float[ROWS * COLUMNS];
    for (int i = 0; i < values.length; i++) {
      short word = StoredType.BF16.narrow(1 + 0.98f * random.nextFloat());
      values[i] = (random.nextBoolean() ? 1 : -1) * StoredType.BF16.widen(word);
    }
    return values;
  }

  private static float[] sums(float[] w, float[] changes, int threads) {
    Tensor left = filled(w);
    Tensor right = filled(changes);
    try (Workers workers = new Workers(threads)) {
      new Dither(workers).add(left, right);
    }
    float[] found = new float[w.length];
    Elements.of(right).get(0, found, found.length);
    CpuMemory.free(left);
    CpuMemory.free(right);
    return found;
  }

  private static Tensor filled(float[] values) {
    Tensor t = CpuMemory.allocate(DType.BF16, ROWS, COLUMNS);
    Elements.of(t).put(0, values, 0, values.length);
    return t;
  }

  private static float[] all(float value) {
    float[] values = new float[ROWS * COLUMNS];
    Arrays.fill(values, value);
    return values;
  }

  @Test
  void add_nothing_leavesEveryBit() {
    float[] w = weights();
    assertThat(sums(w, all(0), 1)).isEqualTo(w);
  }

  /**
   * 2⁻¹³ is a 64th of the last bit: of nearest sums none would differ from w. Of 265 thousand some
   * 4,100 should, and of so many a random draw's standard deviation is 1.6 %.
   */
  @ParameterizedTest
  @ValueSource(doubles = {0x1p-13, -0x1p-13, 0x1.8p-10, -0x1.8p-9, 0x1p-7})
  void add_smallChange_isKeptInTheMeanAndLessThanOneBitOff(double change) {
    float[] w = weights();
    float[] found = sums(w, all((float) change), 1);
    double mean = 0;
    for (int i = 0; i < w.length; i++) {
      double moved = (double) found[i] - w[i];
      assertThat(Math.abs(moved - change)).isLessThan(0x1p-7);
      mean += moved / w.length;
    }
    assertThat(mean).isCloseTo(change, withPercentage(6));
  }

  @Test
  void add_anyNumberOfThreads_sameBits() {
    float[] w = weights();
    float[] changes = all(0x1.4p-11f);
    assertThat(sums(w, changes, 3)).isEqualTo(sums(w, changes, 1));
  }
}
