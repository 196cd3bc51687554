package dev.kindling.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.Initialiser.Pair;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Halves that are both something, and nothing together. */
class OrthogonalTest {
  private static double squares(float[] x) {
    double sum = 0;
    for (float v : x) {
      sum += (double) v * v;
    }
    return sum;
  }

  @ParameterizedTest
  @CsvSource({"7,5,2", "5,7,5", "64,33,33", "33,64,8"})
  void pair_anyShape_isNothingAsAWhole(int out, int in, int r) {
    Pair pair = new Orthogonal().pair(3, out, in, r);
    for (int i = 0; i < out; i++) {
      for (int c = 0; c < in; c++) {
        double sum = 0;
        for (int k = 0; k < r; k++) {
          sum += (double) pair.b()[i * r + k] * pair.a()[k * in + c];
        }
        assertThat(sum).isCloseTo(0, offset(1e-7));
      }
    }
    assertThat(pair.a()).hasSize(r * in).isEqualTo(new Orthogonal().pair(3, out, in, r).a());
    assertThat(pair.b()).hasSize(out * r).isNotEqualTo(new Orthogonal().pair(4, out, in, r).b());
  }

  /** Mixing by rows of length 1 keeps squares: ⌈r/2⌉ of A's and ⌊r/2⌋ of B's, of 0.1² each. */
  @Test
  void pair_large_hasTheSizesOfPefts() {
    Pair pair = new Orthogonal().pair(3, 2000, 3000, 5);
    assertThat(squares(pair.a()) / 3000).isCloseTo(3 * 0.01, offset(0.001));
    assertThat(squares(pair.b()) / 2000).isCloseTo(2 * 0.01, offset(0.001));
  }

  @Test
  void pair_ofRankOne_beginsWithBZero() {
    Pair pair = new Orthogonal().pair(3, 4, 6, 1);
    assertThat(pair.b()).containsOnly(0);
    assertThat(pair.a()).doesNotContain(0);
    assertThat(new Orthogonal().zeroB(1)).isTrue();
    assertThat(new Orthogonal().zeroB(2)).isFalse();
  }
}
