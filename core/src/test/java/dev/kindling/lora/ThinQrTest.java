package dev.kindling.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.Initialiser.Pair;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What makes B and A the first columns and rows of Q and R. */
class ThinQrTest {
  private final Random random = new Random(73);

  private float[] weight(int out, int in) {
    float[] w = new float[out * in];
    for (int i = 0; i < w.length; i++) {
      w[i] = (float) random.nextGaussian();
    }
    return w;
  }

  private static void assertOrthonormal(float[] b, int out, int r) {
    for (int k = 0; k < r; k++) {
      for (int l = 0; l < r; l++) {
        double dot = 0;
        for (int i = 0; i < out; i++) {
          dot += (double) b[i * r + k] * b[i * r + l];
        }
        assertThat(dot).isCloseTo(k == l ? 1 : 0, offset(1e-6));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"7,5,3", "5,7,5", "1,1,1", "64,33,33", "33,64,8"})
  void pair_anyShape_isThinQr(int out, int in, int r) {
    float[] w = weight(out, in);
    Pair pair = new ThinQr().pair(w, out, in, r, 2);
    assertOrthonormal(pair.b(), out, r);
    for (int k = 0; k < r; k++) {
      assertThat(pair.a()[k * in + k]).as("the diagonal").isPositive();
      for (int c = 0; c < k; c++) {
        assertThat(pair.a()[k * in + c]).as("below it").isZero();
      }
    }
    // The first r columns are theirs altogether.
    for (int i = 0; i < out; i++) {
      for (int c = 0; c < r; c++) {
        double sum = 0;
        for (int k = 0; k < r; k++) {
          sum += (double) pair.b()[i * r + k] * pair.a()[k * in + c];
        }
        assertThat(sum).isCloseTo(w[i * in + c], offset(2e-6));
      }
    }
  }

  /** Columns that depend on each other, or are nothing, have a 0 in R and some direction in Q. */
  @Test
  void pair_dependentColumns_isOrthonormalStill() {
    float[] w = weight(6, 4);
    for (int i = 0; i < 6; i++) {
      w[i * 4 + 1] = 2 * w[i * 4];
      w[i * 4 + 2] = 0;
    }
    Pair pair = new ThinQr().pair(w, 6, 4, 4, 2);
    assertOrthonormal(pair.b(), 6, 4);
    assertThat((double) pair.a()[4 + 1]).isCloseTo(0, offset(1e-6));
    assertThat((double) pair.a()[2 * 4 + 2]).isZero();
  }
}
