package dev.kindling.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.Initialiser.Pair;
import java.util.Arrays;
import java.util.Random;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.SingularOps_DDRM;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What makes B·A the best part of a weight that a pair can have. */
class TruncatedSvdTest {
  private final Random random = new Random(29);

  /** A sum of products whose sizes fall as 1/k, as trained weights' do, or none of them larger. */
  private float[] weight(int out, int in, boolean falling) {
    float[] w = new float[out * in];
    if (!falling) {
      for (int i = 0; i < w.length; i++) {
        w[i] = (float) random.nextGaussian();
      }
      return w;
    }
    for (int k = 1; k <= Math.min(out, in); k++) {
      double[] u = random.doubles(out, -1, 1).toArray();
      double[] v = random.doubles(in, -1, 1).toArray();
      for (int i = 0; i < out; i++) {
        for (int j = 0; j < in; j++) {
          w[i * in + j] += (float) (u[i] * v[j] / k);
        }
      }
    }
    return w;
  }

  /** Singular values, the largest first, by the library's whole decomposition. */
  private static double[] singular(double[] w, int out, int in) {
    double[] ascending = SingularOps_DDRM.singularValues(DMatrixRMaj.wrap(out, in, w.clone()));
    Arrays.sort(ascending);
    double[] values = new double[ascending.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = ascending[values.length - 1 - i];
    }
    return values;
  }

  private static double[] doubles(float[] w) {
    double[] values = new double[w.length];
    for (int i = 0; i < w.length; i++) {
      values[i] = w[i];
    }
    return values;
  }

  private static double[] rest(float[] w, Pair pair, int out, int in, int r, double scale) {
    double[] rest = doubles(w);
    for (int i = 0; i < out; i++) {
      for (int j = 0; j < in; j++) {
        for (int k = 0; k < r; k++) {
          rest[i * in + j] -= scale * pair.b()[i * r + k] * pair.a()[k * in + j];
        }
      }
    }
    return rest;
  }

  /** What is left has the singular values that are left (Eckart, Young). */
  @ParameterizedTest
  @CsvSource({
    "7,5,3,true",
    "5,7,5,true",
    "1,1,1,true",
    "90,60,4,true",
    "60,90,8,true",
    "64,64,2,true"
  })
  void pair_anyShape_leavesTheSmallSingularValues(int out, int in, int r, boolean falling) {
    float[] w = weight(out, in, falling);
    double scale = 1.7;
    Pair pair = new TruncatedSvd().pair(w, out, in, r, scale);
    double[] all = singular(doubles(w), out, in);
    double[] left = singular(rest(w, pair, out, in, r, scale), out, in);
    for (int i = 0; i < all.length - r; i++) {
      assertThat(left[i]).as("value " + i).isCloseTo(all[i + r], offset(1e-3 * all[0]));
    }
    assertThat(left[0]).isCloseTo(r < all.length ? all[r] : 0, offset(1e-4 * all[0]));
  }

  /** Where no direction stands out, it holds as much as the best ones would, to a thousandth. */
  @Test
  void pair_flatSpectrum_holdsAsMuch() {
    int n = 96;
    float[] w = weight(n, n, false);
    Pair pair = new TruncatedSvd().pair(w, n, n, 4, 2);
    double[] all = singular(doubles(w), n, n);
    double best = 0;
    for (int i = 4; i < n; i++) {
      best += all[i] * all[i];
    }
    double found = 0;
    for (double value : rest(w, pair, n, n, 4, 2)) {
      found += value * value;
    }
    assertThat(found).isCloseTo(best, offset(1e-3 * best));
  }

  /** Both halves are of one size, and there is one answer. */
  @Test
  void pair_always_isBalancedAndSigned() {
    float[] w = weight(12, 9, true);
    Pair pair = new TruncatedSvd().pair(w, 12, 9, 3, 2);
    float[] again = w.clone();
    assertThat(new TruncatedSvd().pair(again, 12, 9, 3, 2).b()).isEqualTo(pair.b());
    double[] values = singular(doubles(w), 12, 9);
    for (int k = 0; k < 3; k++) {
      double a = 0;
      double b = 0;
      double largest = 0;
      for (int i = 0; i < 9; i++) {
        a += Math.pow(pair.a()[k * 9 + i], 2);
      }
      for (int i = 0; i < 12; i++) {
        double value = pair.b()[i * 3 + k];
        b += value * value;
        largest = Math.abs(value) > Math.abs(largest) ? value : largest;
      }
      assertThat(a).isCloseTo(values[k] / 2, offset(1e-5 * values[0]));
      assertThat(b).isCloseTo(values[k] / 2, offset(1e-5 * values[0]));
      assertThat(largest).isPositive();
    }
  }

  /** A weight of less rank than the pair leaves nothing, and no NaN. */
  @Test
  void pair_lowRankWeight_isWholeAndFinite() {
    float[] w = new float[30 * 40];
    for (int i = 0; i < 30; i++) {
      w[i * 40] = i;
    }
    Pair pair = new TruncatedSvd().pair(w, 30, 40, 3, 2);
    for (double value : rest(w, pair, 30, 40, 3, 2)) {
      assertThat(value).isCloseTo(0, offset(1e-5));
    }
    assertThat(new TruncatedSvd().pair(new float[6], 2, 3, 1, 2).a()).containsOnly(0);
  }
}
