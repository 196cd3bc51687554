package dev.kindling.nn;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Halves;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.TargetModules;
import dev.kindling.lora.plan.JoinedPlan;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Counting;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Layers that read the same input give together what each of them gives alone. */
class SharedInputTest {
  private static final int ROOM = 16;
  private static final int TOKENS = 11;
  private static final int IN = 7;
  private static final List<String> ALL = List.of("query", "key", "value");

  private final Random random = new Random(5);
  private final Drawn drawn = new Drawn(random);

  static List<Arguments> settings() {
    List<Arguments> all = new ArrayList<>();
    for (PairPlan plan : new PlanRules(false, false).legal()) {
      for (Halves halves : Halves.values()) {
        all.add(Arguments.of(plan, halves, ALL));
      }
      all.add(Arguments.of(plan, Halves.BOTH, List.of("query", "value")));
      all.add(Arguments.of(plan, Halves.BOTH, List.of("key", "value")));
      all.add(Arguments.of(plan, Halves.BOTH, List.of("key")));
    }
    return all;
  }

  @ParameterizedTest
  @MethodSource("settings")
  void together_everyPlan_isWhatEachGivesAlone(PairPlan plan, Halves halves, List<String> adapted) {
    PlanChooser chooser = new PlanChooser.Fixed(plan);
    for (boolean below : new boolean[] {true, false}) {
      float[][] wanted = run(new ReferenceBackend(), adapted, 0, chooser, halves, below, false);
      float[][] found = run(new ReferenceBackend(), adapted, 0, chooser, halves, below, true);
      alike(found, wanted, 1e-6);
      try (Backend backend = new OneDnnBackend(Precision.FP32, 1)) {
        alike(run(backend, adapted, 0, chooser, halves, below, true), wanted, 1e-5);
      }
    }
  }

  /** Inputs that are dropped are not the same ones. */
  @Test
  void together_dropout_isWhatEachGivesAlone() {
    PlanChooser plain = new PlanChooser.Fixed(PairPlan.PLAIN);
    float[][] wanted = run(new ReferenceBackend(), ALL, 0.3, plain, Halves.BOTH, true, false);
    float[][] found = run(new ReferenceBackend(), ALL, 0.3, plain, Halves.BOTH, true, true);
    alike(found, wanted, 1e-6);
  }

  /** Two merge nothing and one does: each is computed by itself. */
  @Test
  void together_plansThatDiffer_isWhatEachGivesAlone() {
    PlanChooser measured =
        new PlanChooser.Measured(
            List.of(
                choice(9, PairPlan.PLAIN),
                choice(5, PairPlan.PLAIN),
                choice(2, PairPlan.of("f2b5").orElseThrow())));
    float[][] wanted = run(new ReferenceBackend(), ALL, 0, measured, Halves.BOTH, true, false);
    Counting counting = new Counting(new ReferenceBackend());
    alike(run(counting.backend(), ALL, 0, measured, Halves.BOTH, true, true), wanted, 1e-6);
    assertThat(counting.calls()).filteredOn(call -> call.operation().equals("merge")).hasSize(2);
  }

  private static PlanChooser.Measured.Choice choice(int out, PairPlan plan) {
    return new PlanChooser.Measured.Choice(new PairShape(ROOM, IN, out, 2), plan);
  }

  /** a·xᵀ, z·x and zᵀ·a once instead of three times each: 18 products with pairs become 12. */
  @Test
  void together_plainPlan_multipliesTheInputOnce() {
    PlanChooser plain = new PlanChooser.Fixed(PairPlan.PLAIN);
    Counting apart = new Counting(new ReferenceBackend());
    run(apart.backend(), ALL, 0, plain, Halves.BOTH, true, false);
    Counting together = new Counting(new ReferenceBackend());
    run(together.backend(), ALL, 0, plain, Halves.BOTH, true, true);
    assertThat(products(apart)).isEqualTo(18);
    assertThat(products(together)).isEqualTo(12);
  }

  /** The rows of shared projections would begin anywhere. */
  @Test
  void joinedPlan_oddTokensOrOnePair_isNone() {
    PairShape even = new PairShape(16, IN, 9, 2);
    PairShape odd = even.over(15);
    assertThat(JoinedPlan.of(List.of(even, even), s -> PairPlan.PLAIN)).contains(PairPlan.PLAIN);
    assertThat(JoinedPlan.of(List.of(odd, odd), s -> PairPlan.PLAIN)).isEmpty();
    assertThat(JoinedPlan.of(List.of(even), s -> PairPlan.PLAIN)).isEmpty();
  }

  private static long products(Counting counting) {
    return counting.calls().stream().filter(call -> call.operation().equals("matmul")).count();
  }

  private static void alike(float[][] found, float[][] wanted, double bound) {
    assertThat(found.length).isEqualTo(wanted.length);
    for (int k = 0; k < wanted.length; k++) {
      assertThat(Drawn.distance(found[k], wanted[k])).isLessThan(bound);
    }
  }

  /** Outputs, gradients of the pairs, and of the input. */
  private float[][] run(
      Backend backend,
      List<String> adapted,
      double dropout,
      PlanChooser chooser,
      Halves halves,
      boolean below,
      boolean together) {
    random.setSeed(5);
    List<LinearModule> modules =
        List.of(
            new LinearModule("query", IN, 9, true, true),
            new LinearModule("key", IN, 5, true, true),
            new LinearModule("value", IN, 2, true, true));
    AdapterLayout layout =
        AdapterLayout.of(
            modules,
            new AdapterSettings(2, 5, dropout, new TargetModules.Names(adapted), List.of()));
    Trainables trainables = new Trainables(backend, layout, chooser, halves);
    trainables.load(drawn.floats(layout.elements()));
    List<Linear> layers = new ArrayList<>();
    for (LinearModule module : modules) {
      FrozenMatrix w = backend.freeze(drawn.tensor(backend, module.out(), IN));
      Tensor bias = drawn.tensor(backend, module.out());
      layers.add(trainables.linear(module, layers.size(), FrozenLayers.of(n -> w, n -> bias)));
    }
    Tensor x = drawn.tensor(backend, TOKENS, IN);
    List<Tensor> ys = new ArrayList<>();
    List<Tensor> dys = new ArrayList<>();
    for (LinearModule module : modules) {
      ys.add(drawn.tensor(backend, TOKENS, module.out()));
      dys.add(drawn.tensor(backend, TOKENS, module.out()));
    }
    Tensor dx = drawn.tensor(backend, TOKENS, IN);
    Tensor gradient = below ? dx : null;
    SharedInput all = new SharedInput(backend, layers.toArray(new Linear[0]));
    record Step(SharedInput.Saved all, List<Linear.Saved> each, Linear.Scratch scratch) {}
    Step step =
        new Arena(backend)
            .lay(
                a ->
                    new Step(
                        all.save(a, ROOM),
                        layers.stream().map(layer -> layer.save(a, ROOM)).toList(),
                        Linear.Scratch.take(a, ROOM, List.of(all))));
    backend.write(step.scratch.keys(), random.longs(ROOM).toArray());
    Linear.Scratch scratch = step.scratch.part(0, TOKENS);
    if (together) {
      all.forward(x, ys, step.all, scratch, true);
      all.backward(x, step.all, dys, gradient, scratch);
    } else {
      for (int i = 0; i < layers.size(); i++) {
        layers.get(i).forward(x, ys.get(i), step.each.get(i), scratch, true);
      }
      for (int i = 0; i < layers.size(); i++) {
        layers.get(i).backward(x, step.each.get(i), dys.get(i), gradient, i > 0, scratch);
      }
    }
    List<float[]> found = new ArrayList<>();
    ys.forEach(y -> found.add(Drawn.read(backend, y)));
    found.add(Drawn.read(backend, trainables.gradients()));
    found.add(Drawn.read(backend, dx));
    return found.toArray(new float[0][]);
  }
}
