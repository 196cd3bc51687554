package dev.kindling.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Draws have the distribution that temperature and top-p ask for. */
class SamplerTest {
  /** Shares .1, .4, .2 and .3, up to a constant that must not matter. */
  private static final float[] LOGITS = {
    (float) Math.log(.1) + 50,
    (float) Math.log(.4) + 50,
    (float) Math.log(.2) + 50,
    (float) Math.log(.3) + 50
  };

  private static double[] shares(double temperature, double topP) {
    Sampler sampler = new Sampler(temperature, topP, 5);
    double[] shares = new double[LOGITS.length];
    int draws = 40_000;
    for (int n = 0; n < draws; n++) {
      shares[sampler.next(LOGITS, n)] += 1.0 / draws;
    }
    return shares;
  }

  /** Standard deviations of the shares are at most 0.0025. */
  @ParameterizedTest
  @CsvSource({
    "1, 1, .1, .4, .2, .3",
    "0.5, 1, .0333, .5333, .1333, .3", // squares, over .3
    "1, 0.9, 0, .4444, .2222, .3333",
    "1, 0.6, 0, .5714, 0, .4286",
    "1, 0.39, 0, 1, 0, 0",
    "1, 0.0001, 0, 1, 0, 0",
    "0, 1, 0, 1, 0, 0"
  })
  void next_manyDraws_haveTheShares(
      double temperature, double topP, double a, double b, double c, double d) {
    double[] expected = {a, b, c, d};
    double[] found = shares(temperature, topP);
    for (int id = 0; id < 4; id++) {
      assertThat(found[id]).isCloseTo(expected[id], offset(expected[id] == 0 ? 0 : 0.01));
    }
  }

  @Test
  void next_sameSeedAndNumber_isTheSameToken() {
    for (int n = 0; n < 50; n++) {
      assertThat(new Sampler(2, 0.95, 3).next(LOGITS, n))
          .isEqualTo(new Sampler(2, 0.95, 3).next(LOGITS, n));
    }
  }

  @Test
  void next_equalLogits_isTheFirstWhenGreedy() {
    assertThat(new Sampler(0, 1, 0).next(new float[] {1, 3, 3}, 0)).isEqualTo(1);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -1, 1.5, Double.NaN})
  void topP_outsideItsRange_isRefused(double topP) {
    assertThatThrownBy(() -> new Sampler(1, topP, 0)).hasMessageContaining("top-p");
  }
}
