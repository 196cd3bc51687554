package dev.kindling.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LayerPatterns;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Tensor;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Each kind of linear layer against central differences of ⟨dy, y⟩, in float64. */
class LinearGradientTest {
  private static final double EPSILON = 1e-5;

  private final ReferenceBackend backend = new ReferenceBackend();
  private final Random random = new Random(41);

  private Tensor filled(long... shape) {
    Tensor t = backend.allocate(DType.F64, shape);
    for (int i = 0; i < t.elements(); i++) {
      ReferenceBackend.set(t, i, random.nextGaussian());
    }
    return t;
  }

  /**
   * Frozen, trained in full, and adapted with and without dropout and lengths of its rows; rank 1
   * and rank = min(in, out). Lengths once known stay, as constants to the gradient do.
   */
  @ParameterizedTest
  @CsvSource({
    "frozen, 0, 0, 5, 7, 3, true",
    "trained, 0, 0, 5, 7, 3, true",
    "trained, 0, 0, 1, 1, 1, false",
    "adapted, 1, 0, 5, 7, 3, true",
    "adapted, 3, 0, 5, 7, 3, false",
    "adapted, 2, 0.3, 11, 7, 5, true",
    "adapted, 1, 0.7, 13, 1, 1, true",
    "dora, 2, 0, 5, 7, 3, true",
    "dora, 3, 0.3, 11, 3, 7, false",
    "dora, 1, 0, 13, 1, 1, true"
  })
  void everyKind_inputAndTrainables_matchDifferences(
      String kind, int r, double dropout, int n, int in, int out, boolean bias) {
    LinearModule module = new LinearModule("layer", in, out, bias, true);
    AdapterLayout layout =
        AdapterLayout.of(
            List.of(module),
            new AdapterSettings(
                Math.max(1, r),
                3,
                Scaling.STANDARD,
                LayerPatterns.NONE,
                kind.equals("dora"),
                Sampling.NONE,
                dropout,
                r > 0 ? new TargetModules.Blocks() : new TargetModules.None(),
                kind.equals("trained") ? List.of("layer") : List.of()));
    Trainables trainables = new Trainables(backend, layout);
    for (int i = 0; i < layout.elements(); i++) {
      ReferenceBackend.set(trainables.values(), i, random.nextGaussian());
    }
    FrozenMatrix w = backend.freeze(filled(out, in));
    Tensor frozenBias = filled(out);
    Linear layer = trainables.linear(module, 3, FrozenLayers.of(name -> w, name -> frozenBias));
    assertThat(layer.trains()).isEqualTo(!kind.equals("frozen"));

    Tensor keys = backend.allocate(DType.I64, n);
    backend.write(keys, random.longs(n).toArray());
    Linear.Scratch scratch = new Linear.Scratch(filled(layer.scratch(n)), filled(0), keys);
    Linear.Saved saved = new Arena(backend).lay(arena -> layer.save(arena, n));
    Tensor x = filled(n, in);
    Tensor y = filled(n, out);
    Tensor dy = filled(n, out);
    Tensor dx = filled(n, in);
    double[] before = ReferenceBackend.values(dx);
    Runnable forward = () -> layer.forward(x, y, saved, scratch, true);

    forward.run();
    layer.backward(x, saved, dy, dx, true, scratch);
    double[] added = ReferenceBackend.values(dx);
    forward.run();
    layer.backward(x, saved, dy, dx, false, scratch);
    double[] written = ReferenceBackend.values(dx);
    for (int i = 0; i < added.length; i++) {
      assertThat(added[i] - before[i]).isCloseTo(written[i], offset(1e-12));
    }
    double[] gradients = ReferenceBackend.values(trainables.gradients());
    layer.backward(x, saved, dy, null, false, scratch);
    assertThat(ReferenceBackend.values(trainables.gradients())).isEqualTo(gradients);

    check(x, written, y, dy, forward);
    check(trainables.values(), gradients, y, dy, forward);
  }

  /** Every element by itself: a direction could hide a swapped pair. */
  private static void check(Tensor x, double[] gradient, Tensor y, Tensor dy, Runnable forward) {
    double[] at = ReferenceBackend.values(x);
    double[] above = ReferenceBackend.values(dy);
    for (int i = 0; i < at.length; i++) {
      double found = 0;
      for (int sign : new int[] {1, -1}) {
        ReferenceBackend.set(x, i, at[i] + sign * EPSILON);
        forward.run();
        double[] out = ReferenceBackend.values(y);
        for (int j = 0; j < out.length; j++) {
          found += sign * above[j] * out[j] / (2 * EPSILON);
        }
      }
      ReferenceBackend.set(x, i, at[i]);
      assertThat(found)
          .as("element %d of %s", i, x)
          .isCloseTo(gradient[i], offset(1e-7 * Math.max(1, Math.abs(gradient[i]))));
    }
  }
}
