package dev.kindling.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.optim.OptimizerSettings.Kind;
import java.util.Arrays;
import java.util.List;
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
  private static List<Group> all(int elements, long taken) {
    return List.of(new Group(0, elements, 1, taken));
  }

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
      optimizer.step(found, gradient, rate, all(5, t - 1));
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
    Optimizer.of(settings(Kind.ADAMW, 0), 3)
        .step(x, new float[] {1e-3f, -7e3f, 0f}, RATE, all(3, 0));
    assertThat(x[0]).isCloseTo(-0.01f, offset(1e-6f));
    assertThat(x[1]).isCloseTo(0.01f, offset(1e-8f));
    assertThat(x[2]).isZero();
  }

  /** So many that several threads move them, and none twice. */
  @ParameterizedTest
  @EnumSource(Kind.class)
  void step_manyElements_movesEachAsByItself(Kind kind) {
    int many = (1 << 20) + 3;
    float[] all = new float[many];
    float[] gradient = new float[many];
    for (int i = 0; i < many; i++) {
      all[i] = i % 7;
      gradient[i] = i % 5 - 2;
    }
    float[] few = Arrays.copyOf(all, 35);
    Optimizer.of(settings(kind, 0.1), many).step(all, gradient, RATE, all(many, 0));
    Optimizer.of(settings(kind, 0.1), 35).step(few, gradient, RATE, all(35, 0));
    float[] wanted = new float[many];
    for (int i = 0; i < many; i++) {
      wanted[i] = few[i % 35];
    }
    assertThat(Arrays.mismatch(all, wanted)).isEqualTo(-1);
  }

  /** A long range in pieces, a short one and runs of some element by element, after what was. */
  @Test
  void squares_ofAnyGroup_areTheSumOfThem() {
    int many = (1 << 20) + 3;
    float[] vector = new float[many];
    double sum = 0;
    for (int i = 0; i < many; i++) {
      vector[i] = i % 5 - 2; // whole numbers, which any order adds up to the same
      sum += vector[i] * vector[i];
    }
    assertThat(new Group(0, many, 1, 0).addSquares(7, vector)).isEqualTo(7 + sum);
    assertThat(new Group(3, 8, 1, 0).addSquares(7, vector)).isEqualTo(7 + 10);
    assertThat(new Group(0, 20, 10, 2, 1, 0).addSquares(0, vector)).isEqualTo(2 * (4 + 1));
  }

  /** A rate of 0, as in the first step of a warm-up, still moves the moments. */
  @Test
  void adamW_rateZero_changesTheMomentsOnly() {
    float[] x = {3f};
    Optimizer optimizer = Optimizer.of(settings(Kind.ADAMW, 0.5), 1);
    optimizer.step(x, new float[] {1f}, 0, all(1, 0));
    assertThat(x[0]).isEqualTo(3f);
    optimizer.step(x, new float[] {0f}, RATE, all(1, 1));
    double update = (0.09 / 0.19) / Math.sqrt(0.000999 / 0.001999);
    assertThat((double) x[0]).isCloseTo(3 * (1 - 0.005) - RATE * update, offset(5e-7));
  }

  @Test
  void sgd_severalSteps_equalDecayThenGradient() {
    float[] x = {1f, -2f};
    Optimizer optimizer = Optimizer.of(settings(Kind.SGD, 0.1), 2);
    optimizer.step(x, new float[] {2f, 0f}, 0.5, all(2, 0));
    assertThat(x).containsExactly(-0.05f, -1.9f);
    optimizer.step(x, new float[] {0f, -1f}, 1, all(2, 1));
    assertThat(x[0]).isCloseTo(-0.045f, offset(1e-8f));
    assertThat(x[1]).isCloseTo(-0.71f, offset(2e-7f));
  }

  /** Columns of a matrix [2, 3] learn as if they were all there is; the others do not move. */
  @ParameterizedTest
  @EnumSource(Kind.class)
  void step_someColumns_leavesTheOthersAndTheirState(Kind kind) {
    Optimizer columns = Optimizer.of(settings(kind, 0.1), 7);
    Optimizer alone = Optimizer.of(settings(kind, 0.1), 4);
    float[] x = {9, 1, 2, 3, 4, 5, 6};
    float[] y = {2, 3, 5, 6};
    for (int t = 0; t < 3; t++) {
      columns.step(
          x, new float[] {7, 7, 1, -2, 7, 3, t}, RATE, List.of(new Group(2, 7, 3, 2, 1, t)));
      alone.step(y, new float[] {1, -2, 3, t}, RATE, all(4, t));
    }
    assertThat(x).containsExactly(9, 1, y[0], y[1], 4, y[2], y[3]);
    columns
        .state()
        .values()
        .forEach(s -> assertThat(new float[] {s[0], s[1], s[4]}).containsOnly(0));
  }

  /** What is planned without one is what one has. */
  @ParameterizedTest
  @EnumSource(Kind.class)
  void stateBytes_anyKind_areThoseOfItsState(Kind kind) {
    OptimizerSettings settings = settings(kind, 0);
    assertThat(settings.stateBytes(7)).isEqualTo(Optimizer.of(settings, 7).bytes());
  }
}
