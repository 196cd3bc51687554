package dev.kindling.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Hugging Face's get_*_schedule_with_warmup, by their formulas. */
class ScheduleTest {
  @ParameterizedTest
  @CsvSource({
    // curve, warm-up, total, step, factor
    "CONSTANT, 0, 10,  0, 1",
    "CONSTANT, 0, 10, 25, 1",
    "CONSTANT, 4, 10,  0, 0",
    "CONSTANT, 4, 10,  1, 0.25",
    "CONSTANT, 4, 10,  3, 0.75",
    "CONSTANT, 4, 10,  4, 1",
    "LINEAR,   0, 10,  0, 1",
    "LINEAR,   0, 10,  3, 0.7",
    "LINEAR,   0, 10,  9, 0.1",
    "LINEAR,   0, 10, 10, 0",
    "LINEAR,   0, 10, 11, 0",
    "LINEAR,   2, 10,  0, 0",
    "LINEAR,   2, 10,  1, 0.5",
    "LINEAR,   2, 10,  2, 1",
    "LINEAR,   2, 10,  8, 0.25",
    "COSINE,   0, 12,  0, 1",
    "COSINE,   0, 12,  2, 0.9330127018922193",
    "COSINE,   0, 12,  6, 0.5",
    "COSINE,   0, 12, 12, 0",
    "COSINE,   0, 12, 13, 0",
    "COSINE,   3,  9,  0, 0",
    "COSINE,   3,  9,  3, 1",
    "COSINE,   3,  9,  5, 0.75",
    "COSINE,   3,  9,  8, 0.0669872981077807",
    // all of the run is warm-up, and a run of one step
    "LINEAR,   5,  5,  4, 0.8",
    "LINEAR,   5,  5,  5, 0",
    "COSINE,   0,  1,  0, 1",
    "LINEAR,   1,  1,  0, 0"
  })
  void factor_everyCurve_equalsTheFormula(
      Schedule.Curve curve, int warmup, long total, long step, double expected) {
    assertThat(new Schedule(curve, warmup, total).factor(step)).isCloseTo(expected, offset(1e-15));
  }

  /** The reference's schedule for T = 20,000, w = 500, period 5,000, restarts of 100, floor 0.1. */
  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "250, 0.5",
    "4999, 0.8869",
    "5000, 0",
    "5050, 0.4410",
    "5099, 0.8732",
    "5100, 0.8820",
    "10000, 0",
    "20000, 0.1"
  })
  void factor_linksOfACosine_isJagged(long step, double expected) {
    Schedule jagged =
        new Schedule(Schedule.Curve.COSINE, 500, 20_000, 0.1, new Links(20_000, 4, 1), 0.02);
    assertThat(jagged.factor(step)).isCloseTo(expected, offset(5e-5));
  }

  /** However short a link, one of its steps at least teaches. */
  @Test
  void factor_linksOfAStep_haveNoWarmUp() {
    Schedule short1 = new Schedule(Schedule.Curve.CONSTANT, 0, 4, 0, new Links(4, 4, 1), 0.5);
    Schedule short2 = new Schedule(Schedule.Curve.CONSTANT, 0, 4, 0, new Links(4, 2, 1), 1);
    for (long step = 0; step < 4; step++) {
      assertThat(short1.factor(step)).isEqualTo(1);
      assertThat(short2.factor(step)).isEqualTo(step == 2 ? 0 : 1);
    }
  }

  @Test
  void factor_floor_isWhereCurvesEnd() {
    Schedule linear = new Schedule(Schedule.Curve.LINEAR, 0, 10, 0.2, Links.ONE, 0);
    assertThat(linear.factor(5)).isCloseTo(0.6, offset(1e-15));
    assertThat(linear.factor(10)).isCloseTo(0.2, offset(1e-15));
  }
}
