package dev.kindling.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.optim.OptimizerSettings.Kind;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Updates against PyTorch's formulas, written out the long way in double. */
class OptimizerTest {
  private static final double RATE = 0.01;

  private static OptimizerSettings settings(Kind kind, double decay) {
    return new OptimizerSettings(
        kind, RATE, decay, 0.9, 0.999, 1e-8, new Schedule(Schedule.Curve.CONSTANT, 0, 10));
  }

  /** torch.optim.AdamW: decay first, then m̂ / (√v̂ + ε) with both moments debiased. */
  @ParameterizedTest
  @ValueSource(doubles = {0, 0.1, 1})
  void adamW_severalSteps_equalPyTorch(double decay) {
    float[] found = {1f, -2f, 0.5f, 0f, 1e-3f};
    double[] wanted = {1f, -2f, 0.5f, 0f, 1e-3f};
    double[] m = new double[5];
    double[] v = new double[5];
    Optimizer optimizer = Optimizer.of(settings(Kind.ADAMW, decay), 5);
    for (int t = 1; t <= 7; t++) {
      float[] gradient = {0.3f, -1e-4f * t, t % 2 == 0 ? 5f : -5f, 0f, 1e-12f};
      double rate = RATE / t;
      optimizer.step(found, gradient, rate);
      for (int i = 0; i < 5; i++) {
        wanted[i] -= rate * decay * wanted[i];
        m[i] = 0.9 * m[i] + 0.1 * gradient[i];
        v[i] = 0.999 * v[i] + 0.001 * gradient[i] * gradient[i];
        double mHat = m[i] / (1 - Math.pow(0.9, t));
        double vHat = v[i] / (1 - Math.pow(0.999, t));
        wanted[i] -= rate * mHat / (Math.sqrt(vHat) + 1e-8);
        assertThat((double) found[i])
            .as("step %d, element %d", t, i)
            .isCloseTo(wanted[i], offset(2e-7 * Math.max(1, Math.abs(wanted[i]))));
      }
    }
  }

  /** By hand: m̂ = g and v̂ = g², so the first step is the rate, whatever the gradient's size. */
  @Test
  void adamW_firstStep_isTheRateInTheGradientsDirection() {
    float[] x = {0f, 0f, 0f};
    Optimizer.of(settings(Kind.ADAMW, 0), 3).step(x, new float[] {1e-3f, -7e3f, 0f}, RATE);
    assertThat(x[0]).isCloseTo(-0.01f, offset(1e-6f));
    assertThat(x[1]).isCloseTo(0.01f, offset(1e-8f));
    assertThat(x[2]).isZero();
  }

  /** A rate of 0, as in the first step of a warm-up, still moves the moments. */
  @Test
  void adamW_rateZero_changesTheMomentsOnly() {
    float[] x = {3f};
    Optimizer optimizer = Optimizer.of(settings(Kind.ADAMW, 0.5), 1);
    optimizer.step(x, new float[] {1f}, 0);
    assertThat(x[0]).isEqualTo(3f);
    optimizer.step(x, new float[] {0f}, RATE);
    double update = (0.09 / 0.19) / Math.sqrt(0.000999 / 0.001999);
    assertThat((double) x[0]).isCloseTo(3 * (1 - 0.005) - RATE * update, offset(5e-7));
  }

  @Test
  void sgd_severalSteps_equalDecayThenGradient() {
    float[] x = {1f, -2f};
    Optimizer optimizer = Optimizer.of(settings(Kind.SGD, 0.1), 2);
    optimizer.step(x, new float[] {2f, 0f}, 0.5);
    assertThat(x).containsExactly(-0.05f, -1.9f);
    optimizer.step(x, new float[] {0f, -1f}, 1);
    assertThat(x[0]).isCloseTo(-0.045f, offset(1e-8f));
    assertThat(x[1]).isCloseTo(-0.71f, offset(2e-7f));
  }

  /** What is planned without one is what one has. */
  @ParameterizedTest
  @EnumSource(Kind.class)
  void stateBytes_anyKind_areThoseOfItsState(Kind kind) {
    OptimizerSettings settings = settings(kind, 0);
    assertThat(settings.stateBytes(7)).isEqualTo(Optimizer.of(settings, 7).bytes());
  }
}
