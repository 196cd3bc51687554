package dev.kindling.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Initialiser;
import dev.kindling.lora.Initialiser.Pair;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.Selection;
import dev.kindling.lora.TargetModules;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** CE-LoRA's gradient through a frozen weight, in float64. */
class SampledWeightTest {
  private static final int N = 7;
  private static final int IN = 11;
  private static final int OUT = 13;

  private final ReferenceBackend backend = new ReferenceBackend();
  private final Random random = new Random(23);
  private final float[] w = weight();
  private final FrozenMatrix matrix = backend.freeze(placed(w, OUT, IN));
  private final Tensor x = filled(N, IN);
  private final Tensor dy = filled(N, OUT);

  /** Of singular values that decay like 1/k. */
  private float[] weight() {
    double[] sum = new double[OUT * IN];
    for (int k = 1; k <= IN; k++) {
      double[] left = random.doubles(OUT, -1, 1).toArray();
      double[] right = random.doubles(IN, -1, 1).toArray();
      for (int i = 0; i < sum.length; i++) {
        sum[i] += left[i / IN] * right[i % IN] / k;
      }
    }
    float[] values = new float[sum.length];
    for (int i = 0; i < sum.length; i++) {
      values[i] = (float) sum[i];
    }
    return values;
  }

  private Tensor placed(float[] values, long... shape) {
    Tensor t = backend.allocate(DType.F64, shape);
    backend.write(t, 0, values, 0, values.length);
    return t;
  }

  private Tensor filled(long... shape) {
    Tensor t = backend.allocate(DType.F64, shape);
    for (int i = 0; i < t.elements(); i++) {
      ReferenceBackend.set(t, i, random.nextGaussian());
    }
    return t;
  }

  /** What a layer gives: dx, and what lies at the trainables' gradients. */
  private record Given(double[] dx, double[] gradients, AdapterLayout layout, float[] trainables) {
    double[] of(Role role) {
      Parameter p = layout.find("layer", role).orElseThrow();
      return Arrays.copyOfRange(gradients, p.offset(), p.offset() + p.elements());
    }
  }

  /**
   * @param share of features
   * @param steps choices made before, each by the gradient of a step
   */
  private Given step(double share, int exact, boolean byGradient, int steps) {
    LinearModule module = new LinearModule("layer", IN, OUT, false, true);
    Sampling sampling = new Sampling(Map.of("layer", share), exact, 1, byGradient);
    AdapterSettings settings =
        new AdapterSettings(3, 6, 0, new TargetModules.Blocks(), List.of()).sampling(sampling);
    AdapterLayout layout = AdapterLayout.of(List.of(module), settings);
    float[] trainables =
        layout.start(5, Initialiser.KAIMING.drawn(), p -> Optional.empty()).values();
    Parameter b = layout.find("layer", Role.B).orElseThrow();
    for (int i = 0; i < b.elements(); i++) {
      trainables[b.offset() + i] = 0.1f * (i % 5 - 2);
    }
    Pair pair = Initialiser.PISSA.fromBase().orElseThrow().pair(w, OUT, IN, exact, 1);
    SampledWeight weight =
        SampledWeight.of(
            backend,
            matrix,
            sampling.kept("layer", OUT),
            exact,
            new SampledWeight.Parts(pair.a(), pair.b(), squares(pair, exact)),
            byGradient);
    Trainables own = new Trainables(backend, layout);
    Linear layer =
        own.linear(
            module,
            0,
            new FrozenLayers() {
              @Override
              public FrozenMatrix matrix(String name) {
                return matrix;
              }

              @Override
              public Tensor tensor(String name) {
                throw new IllegalStateException(name);
              }

              @Override
              public Optional<SampledWeight> sampled(String module) {
                return Optional.of(weight);
              }
            });
    Linear.Saved saved = new Arena(backend).lay(arena -> layer.save(arena, N));
    Linear.Scratch scratch =
        new Linear.Scratch(filled(layer.scratch(N)), filled(0), backend.allocate(DType.I64, N));
    Tensor dx = filled(N, IN);
    Tensor y = filled(N, OUT);
    for (int s = 0; ; s++) {
      own.load(trainables);
      layer.forward(x, y, saved, scratch, true);
      layer.backward(x, saved, dy, dx, false, scratch);
      if (s == steps) {
        double[] gradients = ReferenceBackend.values(own.gradients());
        return new Given(ReferenceBackend.values(dx), gradients, layout, trainables);
      }
      float[] scores = new float[layout.elements()];
      backend.read(own.gradients(), scores);
      Selection.next(layout, trainables, scores, true);
    }
  }

  private float[] squares(Pair pair, int exact) {
    float[] squares = new float[OUT];
    for (int i = 0; i < OUT * IN; i++) {
      double left = w[i];
      for (int k = 0; k < exact; k++) {
        left -= (double) pair.b()[i / IN * exact + k] * pair.a()[k * IN + i % IN];
      }
      squares[i / IN] += (float) (left * left);
    }
    return squares;
  }

  private static double distance(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return Math.sqrt(sum);
  }

  /** Before the first choice, and where the exact part is all there is. */
  @ParameterizedTest
  @CsvSource({"0.2, 3, 0", "0.2, 11, 1", "0.99, 2, 1"})
  void inputGradient_allFeaturesOrAllOfTheRank_isExact(double share, int exact, int steps) {
    double[] exactly = step(0.5, 1, true, 0).dx();
    assertThat(distance(step(share, exact, true, steps).dx(), exactly))
        .isCloseTo(0, offset(1e-5 * distance(exactly, new double[exactly.length])));
  }

  /** Pairs' own gradients do not depend on what goes on below. */
  @Test
  void pairGradients_sampled_areExact() {
    Given all = step(0.5, 1, true, 0);
    Given some = step(0.2, 2, true, 1);
    assertThat(some.of(Role.A)).isEqualTo(all.of(Role.A));
    assertThat(some.of(Role.B)).isEqualTo(all.of(Role.B));
  }

  /** The error is what the features left out would have given, no more and no less. */
  @ParameterizedTest
  @CsvSource({"0.2, 1, true", "0.2, 3, true", "0.5, 2, true", "0.5, 2, false", "0.8, 4, true"})
  void inputGradient_sampled_isOffByWhatWasLeftOut(double share, int exact, boolean byGradient) {
    Given all = step(0.5, 1, true, 0);
    Given some = step(share, exact, byGradient, 1);
    Parameter marks = some.layout().find("layer", Role.SELECTION).orElseThrow();
    int[] chosen = Selection.chosen(some.trainables(), marks.offset(), OUT);
    assertThat(chosen).hasSize((int) Math.ceil(share * OUT));
    Pair pair = Initialiser.PISSA.fromBase().orElseThrow().pair(w, OUT, IN, exact, 1);
    double[] above = ReferenceBackend.values(dy);
    double[] predicted = all.dx().clone();
    for (int i = 0; i < predicted.length; i++) {
      for (int j = 0; j < OUT; j++) {
        if (Arrays.binarySearch(chosen, j) < 0) {
          double left = w[j * IN + i % IN];
          for (int k = 0; k < exact; k++) {
            left -= (double) pair.b()[j * exact + k] * pair.a()[k * IN + i % IN];
          }
          predicted[i] -= above[i / IN * OUT + j] * left;
        }
      }
    }
    double size = distance(predicted, new double[predicted.length]);
    assertThat(distance(some.dx(), predicted)).isLessThan(1e-5 * size);
    assertThat(distance(some.dx(), all.dx())).isGreaterThan(1e-3 * size);
  }

  /**
   * More features, and more of the rank, are never worse where they are chosen by what they weigh.
   */
  @Test
  void inputGradient_moreFeaturesOrRank_isNoFurtherOff() {
    double[] exactly = step(0.5, 1, true, 0).dx();
    double before = Double.MAX_VALUE;
    for (double share : new double[] {0.1, 0.3, 0.5, 0.7, 0.95}) {
      double off = distance(step(share, 2, true, 1).dx(), exactly);
      assertThat(off).as("share %s", share).isLessThanOrEqualTo(before);
      before = off;
    }
    double plain = distance(step(0.25, 1, true, 1).dx(), exactly);
    assertThat(distance(step(0.25, 6, true, 1).dx(), exactly)).isLessThan(plain);
  }

  /** Chosen once, features stay until a step that was asked what they weigh. */
  @Test
  void selection_unasked_staysAsItIs() {
    Given given = step(0.3, 2, true, 1);
    AdapterLayout layout = given.layout();
    int at = layout.find("layer", Role.SELECTION).orElseThrow().offset();
    float[] marks = given.trainables().clone();
    float[] rising = new float[layout.elements()];
    float[] falling = new float[layout.elements()];
    for (int j = 0; j < OUT; j++) {
      rising[at + j] = j;
      falling[at + j] = -j;
    }
    Selection.next(layout, marks, rising, false);
    int[] last = {OUT - 4, OUT - 3, OUT - 2, OUT - 1};
    assertThat(Selection.chosen(marks, at, OUT)).isEqualTo(last);
    assertThat(Selection.asked(marks, at)).isFalse();
    Selection.next(layout, marks, falling, false);
    Selection.next(layout, marks, falling, true);
    assertThat(Selection.chosen(marks, at, OUT)).isEqualTo(last);
    assertThat(Selection.asked(marks, at)).isTrue();
    Selection.next(layout, marks, falling, false);
    assertThat(Selection.chosen(marks, at, OUT)).containsExactly(0, 1, 2, 3);
  }

  /** A feature weighs the norm of its gradient times that of its row; unasked, nothing is said. */
  @Test
  void scores_asked_areOfGradientsAndRows() {
    Given asked = step(0.3, 2, true, 0);
    Pair pair = Initialiser.PISSA.fromBase().orElseThrow().pair(w, OUT, IN, 2, 1);
    float[] squares = squares(pair, 2);
    double[] above = ReferenceBackend.values(dy);
    for (int j = 0; j < OUT; j++) {
      double sum = 0;
      for (int row = 0; row < N; row++) {
        sum += above[row * OUT + j] * above[row * OUT + j];
      }
      double expected = sum * squares[j];
      assertThat(asked.of(Role.SELECTION)[j]).isCloseTo(expected, offset(1e-5 * expected));
    }
  }
}
