package dev.kindling.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Halves;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.TargetModules;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.lora.plan.Product;
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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every legal plan gives the same numbers, by the very products that it promises. */
class PairPlanGradientTest {
  private static final int TOKENS = 11;
  private static final int IN = 7;
  private static final int OUT = 5;

  private final Random random = new Random(5);
  private final Drawn drawn = new Drawn(random);

  static List<Arguments> plans() {
    List<Arguments> all = new ArrayList<>();
    for (double dropout : new double[] {0, 0.3}) {
      for (PairPlan plan : new PlanRules(dropout > 0, false).legal()) {
        for (int rank : new int[] {1, 3, Math.min(IN, OUT)}) {
          all.add(Arguments.of(plan, rank, dropout, true));
          all.add(Arguments.of(plan, rank, dropout, false));
        }
      }
    }
    return all;
  }

  @ParameterizedTest
  @MethodSource("plans")
  void everyPlan_float64_equalsPlainByThePromisedProducts(
      PairPlan plan, int rank, double dropout, boolean inputWanted) {
    List<Product> products = new ArrayList<>();
    float[][] wanted =
        run(new ReferenceBackend(), PairPlan.PLAIN, rank, dropout, inputWanted, null);
    float[][] found = run(new ReferenceBackend(), plan, rank, dropout, inputWanted, products);
    for (int k = 0; k < wanted.length; k++) {
      for (int i = 0; i < wanted[k].length; i++) {
        assertThat(found[k][i]).isCloseTo(wanted[k][i], offset(2e-6f));
      }
    }
    if (dropout == 0) { // where inputs are dropped, the branch is not added by the product itself
      assertThat(products)
          .containsExactlyElementsOf(
              plan.products(new PairShape(TOKENS, IN, OUT, rank), inputWanted));
    }
  }

  @ParameterizedTest
  @MethodSource("plans")
  void everyPlan_oneDnn_equalsPlainInFloat64(
      PairPlan plan, int rank, double dropout, boolean inputWanted) {
    float[][] wanted =
        run(new ReferenceBackend(), PairPlan.PLAIN, rank, dropout, inputWanted, null);
    try (Backend backend = new OneDnnBackend(Precision.FP32, 1)) {
      float[][] found = run(backend, plan, rank, dropout, inputWanted, null);
      for (int k = 0; k < wanted.length; k++) {
        assertThat(Drawn.distance(found[k], wanted[k])).isLessThan(1e-5);
      }
    }
  }

  /**
   * What does not learn has a gradient of zero, for which nothing is multiplied, and all else the
   * bits that it has anyway.
   */
  @ParameterizedTest
  @MethodSource("plans")
  void everyPlan_oneHalfLearns_isWithoutTheOthersProducts(
      PairPlan plan, int rank, double dropout, boolean inputWanted) {
    int ofA = rank * IN;
    float[][] both = run(new ReferenceBackend(), plan, rank, dropout, inputWanted, null);
    for (Halves halves : List.of(Halves.A, Halves.B)) {
      List<Product> products = new ArrayList<>();
      float[][] one =
          run(new ReferenceBackend(), plan, rank, dropout, inputWanted, products, halves);
      assertThat(one[0]).isEqualTo(both[0]);
      assertThat(one[2]).isEqualTo(both[2]);
      for (int i = 0; i < one[1].length; i++) {
        boolean learns = halves == (i < ofA ? Halves.A : Halves.B);
        assertThat(one[1][i]).isEqualTo(learns ? both[1][i] : 0);
      }
      if (dropout == 0) {
        PairShape shape = new PairShape(TOKENS, IN, OUT, rank, halves);
        assertThat(products).containsExactlyElementsOf(plan.products(shape, inputWanted));
      }
    }
  }

  private float[][] run(
      Backend plain,
      PairPlan plan,
      int rank,
      double dropout,
      boolean inputWanted,
      List<Product> products) {
    return run(plain, plan, rank, dropout, inputWanted, products, Halves.BOTH);
  }

  /** Output, gradients of the pair, and of the input, which is added to. */
  private float[][] run(
      Backend plain,
      PairPlan plan,
      int rank,
      double dropout,
      boolean inputWanted,
      List<Product> products,
      Halves halves) {
    random.setSeed(5);
    Counting counting = new Counting(plain);
    Backend backend = counting.backend();
    LinearModule module = new LinearModule("layer", IN, OUT, true, true);
    AdapterLayout layout =
        AdapterLayout.of(
            List.of(module),
            new AdapterSettings(rank, 5, dropout, new TargetModules.Blocks(), List.of()));
    Trainables trainables = new Trainables(backend, layout, new PlanChooser.Fixed(plan), halves);
    trainables.load(drawn.floats(layout.elements()));
    FrozenMatrix w = backend.freeze(drawn.tensor(backend, OUT, IN));
    Tensor bias = drawn.tensor(backend, OUT);
    Linear layer = trainables.linear(module, 3, FrozenLayers.of(name -> w, name -> bias));
    record Step(Linear.Saved saved, Linear.Scratch scratch) {}
    Step step =
        new Arena(backend)
            .lay(
                a ->
                    new Step(
                        layer.save(a, TOKENS), Linear.Scratch.take(a, TOKENS, List.of(layer))));
    backend.write(step.scratch.keys(), random.longs(TOKENS).toArray());
    Tensor x = drawn.tensor(backend, TOKENS, IN);
    Tensor y = drawn.tensor(backend, TOKENS, OUT);
    Tensor dy = drawn.tensor(backend, TOKENS, OUT);
    Tensor dx = drawn.tensor(backend, TOKENS, IN);
    int before = counting.calls().size();
    layer.forward(x, y, step.saved, step.scratch, true);
    layer.backward(x, step.saved, dy, inputWanted ? dx : null, false, step.scratch);
    if (products != null) {
      counting.calls().stream()
          .skip(before)
          .flatMap(call -> product(call).stream())
          .forEach(products::add);
    }
    return new float[][] {
      Drawn.read(backend, y), Drawn.read(backend, trainables.gradients()), Drawn.read(backend, dx)
    };
  }

  private static List<Product> product(Counting.Call call) {
    Object[] a = call.arguments();
    return switch (call.operation()) {
      case "linear" -> List.of(new Product(((Tensor) a[0]).rows(), IN, OUT, (boolean) a[4]));
      case "linearBackward" -> List.of(new Product(((Tensor) a[0]).rows(), OUT, IN, false));
      case "merge" -> List.of(new Product(OUT, ((Tensor) a[2]).rows(), IN, true));
      case "matmul" -> {
        Tensor left = (Tensor) a[0];
        Tensor result = (Tensor) a[6];
        boolean turned = (boolean) a[1];
        boolean adds = (double) a[5] != 0;
        yield List.of(
            new Product(
                result.rows(), turned ? left.rows() : left.columns(), result.columns(), adds));
      }
      default -> List.of();
    };
  }
}
