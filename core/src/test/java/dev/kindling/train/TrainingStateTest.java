package dev.kindling.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.BatchResult;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.OptimizerSettings.Kind;
import dev.kindling.optim.Schedule;
import dev.kindling.optim.Schedule.Curve;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a commit does with a sum. */
class TrainingStateTest {
  private static final AdapterLayout LAYOUT =
      AdapterLayout.of(
          List.of(new LinearModule("classifier", 1, 2, false, false)),
          new AdapterSettings(1, 1, 0, new TargetModules.None(), List.of("classifier")));

  private static TrainingState state(double maxGradNorm, Schedule schedule) {
    return new TrainingState(
        LAYOUT,
        new float[2],
        new OptimizerSettings(Kind.SGD, 0.5, 0, 0, 0, 1, schedule),
        maxGradNorm);
  }

  private static TrainingState state(double maxGradNorm) {
    return state(maxGradNorm, new Schedule(Curve.CONSTANT, 0, 100));
  }

  private static GradientSum sum(TrainingState state, float x, float y, BatchResult result) {
    GradientSum sum = new GradientSum(LAYOUT, state.exponents(), 1);
    sum.add(new float[] {x, y}, result);
    return sum;
  }

  /** Sums [12, 16] over 4 targets: mean [3, 4], norm 5. */
  @ParameterizedTest
  @CsvSource({"0, 1", "5.1, 1", "5, 0.9999998", "1, 0.19999996", "0.001, 0.00019999996"})
  void commit_anyMaxNorm_scalesAsPyTorchsClipGradNorm(double maxGradNorm, double factor) {
    TrainingState state = state(maxGradNorm);
    var committed = state.commit(sum(state, 12, 16, new BatchResult(6, 4, 4, 3, 99, 1)));
    assertThat(committed.gradNorm()).isEqualTo(5);
    assertThat(factor)
        .isCloseTo(maxGradNorm == 0 ? 1 : Math.min(1, maxGradNorm / (5 + 1e-6)), offset(1e-12));
    assertThat((double) state.trainables()[0]).isCloseTo(-0.5 * 3 * factor, offset(2e-7));
    assertThat((double) state.trainables()[1]).isCloseTo(-0.5 * 4 * factor, offset(2e-7));
  }

  @Test
  void commit_lossAndTokens_areMeanOverTargetsAndSum() {
    TrainingState state = state(0);
    var committed = state.commit(sum(state, 1, 1, new BatchResult(6, 4, 4, 3, 99, 1)));
    assertThat(committed.step()).isEqualTo(1);
    assertThat(committed.loss()).isEqualTo(1.5);
    assertThat(committed.tokens()).isEqualTo(99);
    assertThat(state.step()).isEqualTo(1);
  }

  @Test
  void commit_withWarmUp_firstUpdateIsNothingAndRatesFollow() {
    TrainingState state = state(0, new Schedule(Curve.LINEAR, 2, 4));
    double[] rates = new double[4];
    for (int k = 0; k < 4; k++) {
      rates[k] = state.commit(sum(state, 1, 0, new BatchResult(1, 1, 1, 0, 1, 1))).learningRate();
      if (k == 0) {
        assertThat(state.trainables()[0]).isZero();
      }
    }
    assertThat(rates).containsExactly(0, 0.25, 0.5, 0.25);
    assertThat(state.trainables()[0]).isEqualTo(-1f);
  }

  @Test
  void commit_gradientDecaysOverMagnitudes_exponentsFollow() {
    TrainingState state = state(0);
    for (float g = 1; g > 1e-12f; g /= 1000) {
      GradientSum sum = sum(state, g, g, new BatchResult(1, 1, 1, 0, 1, 1));
      assertThat(sum.fits()).isTrue();
      state.commit(sum);
    }
  }

  @Test
  void rescale_afterAJump_makesTheSameStepFitWithoutCommittingIt() {
    TrainingState state = state(0);
    GradientSum wild = sum(state, 1e20f, 1, new BatchResult(1, 1, 1, 0, 1, 1));
    assertThat(wild.fits()).isFalse();
    state.rescale(wild);
    assertThat(state.step()).isZero();
    assertThat(state.trainables()).containsOnly(0f);
    assertThat(sum(state, 1e20f, 1, new BatchResult(1, 1, 1, 0, 1, 1)).fits()).isTrue();
  }
}
