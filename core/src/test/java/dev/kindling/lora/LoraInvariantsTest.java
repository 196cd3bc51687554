package dev.kindling.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Golden;
import dev.kindling.model.Model;
import dev.kindling.nn.FrozenLayers;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import dev.kindling.train.GradientSum;
import dev.kindling.train.TrainingState;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What makes a low-rank adaptation one (Hu et al., arXiv:2106.09685, section 4.1). */
class LoraInvariantsTest {
  private final Backend backend = Nd4jBackend.open(1);
  private final Random random = new Random(61);

  private static AdapterLayout layout(Golden golden, TargetModules targets) {
    return AdapterLayout.of(
        golden.plan.linears(), new AdapterSettings(3, 6, 0, targets, golden.plan.head()));
  }

  /** The start vector, the head drawn from the seed: the same whatever else is trained. */
  private static float[] start(AdapterLayout layout) {
    return layout.start(7, Initialiser.KAIMING.drawn(), p -> Optional.empty()).values();
  }

  private FrozenWeights weights(Golden golden, AdapterLayout layout) {
    List<WeightSlot> slots = golden.plan.weights(layout);
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, Storage.FP32);
    golden.base.stream(slots, loader::accept);
    return loader.finish();
  }

  private Model model(Golden golden, AdapterLayout layout, float[] vector) {
    Model model = golden.plan.build(backend, weights(golden, layout), layout, false);
    model.load(vector);
    return model;
  }

  private static float[] logits(Golden golden, Model model) {
    model.evaluate(TokenBatch.of(golden.rows, golden.plan.rules()));
    return model.logits();
  }

  @ParameterizedTest
  @ValueSource(strings = {"bert", "roberta"})
  void zeroB_wholeModel_equalsTheBaseBitForBit(String name) {
    Golden golden = new Golden(name);
    AdapterLayout pairs = layout(golden, new TargetModules.AllLinear());
    AdapterLayout none = layout(golden, new TargetModules.None());
    try (Model adapted = model(golden, pairs, start(pairs));
        Model base = model(golden, none, start(none))) {
      assertThat(logits(golden, adapted)).isEqualTo(logits(golden, base));
    }
  }

  /** da = s·bᵀ·… vanishes with b, db = s·dyᵀ·x·aᵀ does not: both zero could never learn. */
  @ParameterizedTest
  @ValueSource(strings = {"bert", "roberta"})
  void gradient_beforeTheFirstStep_isZeroForAAndNotForB(String name) {
    Golden golden = new Golden(name);
    AdapterLayout layout = layout(golden, new TargetModules.Blocks());
    float[] gradient = new float[layout.elements()];
    try (Model model = model(golden, layout, start(layout))) {
      model.gradient(TokenBatch.of(golden.batch(0), golden.plan.rules()), gradient);
    }
    for (Parameter p : layout.parameters()) {
      double size = 0;
      for (int i = p.offset(); i < p.offset() + p.elements(); i++) {
        size += Math.abs(gradient[i]);
      }
      if (p.role() == Role.A) {
        assertThat(size).as(p.name()).isZero();
      } else {
        assertThat(size).as(p.name()).isPositive();
      }
    }
  }

  /** w + s·b·a in the base's place; 1e-5 of the largest logit is what fp32 sums lose. */
  @ParameterizedTest
  @ValueSource(strings = {"bert", "roberta"})
  void merged_wholeModel_equalsUnmerged(String name) {
    Golden golden = new Golden(name);
    AdapterLayout pairs = layout(golden, new TargetModules.Blocks());
    AdapterLayout none = layout(golden, new TargetModules.None());
    float[] vector = start(pairs);
    for (Parameter p : pairs.parameters()) {
      for (int i = p.offset(); p.role() == Role.B && i < p.offset() + p.elements(); i++) {
        vector[i] = (float) (0.1 * random.nextGaussian());
      }
    }
    List<WeightSlot> slots = golden.plan.weights(none);
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, Storage.FP32);
    for (WeightSlot slot : slots) {
      float[] w = golden.base.find(slot.name()).orElseThrow().floats();
      merge(w, slot, pairs, vector);
      ByteBuffer bytes = ByteBuffer.allocate(4 * w.length).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asFloatBuffer().put(w);
      loader.accept(slot, 0, bytes, StoredType.F32);
    }
    try (Model adapted = model(golden, pairs, vector);
        Model base = model(golden, none, start(none));
        Model merged = golden.plan.build(backend, loader.finish(), none, false)) {
      merged.load(start(none));
      float[] expected = logits(golden, adapted);
      float[] found = logits(golden, merged);
      double largest = 0;
      for (float e : expected) {
        largest = Math.max(largest, Math.abs(e));
      }
      for (int i = 0; i < expected.length; i++) {
        assertThat((double) found[i]).isCloseTo(expected[i], offset(1e-5 * largest));
      }
      assertThat(found).isNotEqualTo(logits(golden, base));
    }
  }

  private static void merge(float[] w, WeightSlot slot, AdapterLayout layout, float[] vector) {
    if (!slot.matrix()) {
      return;
    }
    String module = slot.name().substring(0, slot.name().length() - ".weight".length());
    Optional<Parameter> down = layout.find(module, Role.A);
    if (down.isEmpty()) {
      return;
    }
    Parameter a = down.get();
    Parameter b = layout.find(module, Role.B).orElseThrow();
    int r = (int) a.shape()[0];
    int in = (int) a.shape()[1];
    for (int i = 0; i < w.length; i++) {
      double update = 0;
      for (int k = 0; k < r; k++) {
        update +=
            (double) vector[b.offset() + i / in * r + k] * vector[a.offset() + k * in + i % in];
      }
      w[i] = (float) (w[i] + layout.settings().scale() * update);
    }
  }

  @Test
  void training_severalSteps_leavesTheBaseAsItWas() {
    Golden golden = new Golden("bert");
    AdapterLayout layout = layout(golden, new TargetModules.Blocks());
    FrozenWeights weights = weights(golden, layout);
    Map<String, float[]> before = snapshot(golden, layout, weights);
    float[] start = start(layout);
    float[] trained = start.clone();
    try (Model model = golden.plan.build(backend, weights, layout, false)) {
      TrainingState state = new TrainingState(layout, trained, golden.optimizer(), 0);
      float[] gradient = new float[layout.elements()];
      for (int step = 0; step < 3; step++) {
        GradientSum sum = new GradientSum(layout, state.exponents(), 1);
        model.load(state.trainables());
        TokenBatch batch = TokenBatch.of(golden.batch(step), golden.plan.rules());
        sum.add(gradient, model.gradient(batch, gradient));
        state.commit(sum);
      }
    }
    assertThat(trained).isNotEqualTo(start);
    snapshot(golden, layout, weights)
        .forEach((slot, values) -> assertThat(values).as(slot).isEqualTo(before.get(slot)));
  }

  /** Every frozen value; a matrix shows its own as identity · wᵀ, which is exact. */
  private Map<String, float[]> snapshot(
      Golden golden, AdapterLayout layout, FrozenWeights weights) {
    Map<String, float[]> all = new LinkedHashMap<>();
    for (WeightSlot slot : golden.plan.weights(layout)) {
      Tensor values;
      if (slot.matrix()) {
        FrozenMatrix w = weights.matrix(slot.name());
        values = backend.allocate(backend.real(), w.in(), w.out());
        Tensor identity = backend.allocate(backend.real(), w.in(), w.in());
        for (int i = 0; i < w.in(); i++) {
          backend.write(identity, (long) i * w.in() + i, new float[] {1}, 0, 1);
        }
        backend.linear(identity, w, null, values, false);
      } else {
        values = weights.tensor(slot.name());
      }
      float[] copy = new float[Math.toIntExact(values.elements())];
      backend.read(values, copy);
      all.put(slot.name(), copy);
    }
    return all;
  }

  /** The update as the layer applies it, from its answer to the identity; in float64. */
  @ParameterizedTest
  @CsvSource({"1, 7, 11", "3, 7, 11", "7, 7, 11", "5, 13, 5", "9, 4, 6"})
  void update_randomPair_hasRankR(int r, int in, int out) {
    ReferenceBackend exact = new ReferenceBackend();
    LinearModule module = new LinearModule("layer", in, out, false, true);
    AdapterLayout layout =
        AdapterLayout.of(
            List.of(module), new AdapterSettings(r, 2, 0, new TargetModules.Blocks(), List.of()));
    Trainables trainables = new Trainables(exact, layout);
    for (int i = 0; i < layout.elements(); i++) {
      ReferenceBackend.set(trainables.values(), i, random.nextGaussian());
    }
    Tensor zero = exact.allocate(DType.F64, out, in);
    Linear layer =
        trainables.linear(module, 0, FrozenLayers.of(name -> exact.freeze(zero), name -> zero));
    Tensor x = exact.allocate(DType.F64, in, in);
    for (int i = 0; i < in; i++) {
      ReferenceBackend.set(x, i * in + i, 1);
    }
    Tensor y = exact.allocate(DType.F64, in, out);
    Arena arena = new Arena(exact);
    record Step(Linear.Saved saved, Linear.Scratch scratch) {}
    Step step =
        arena.lay(a -> new Step(layer.save(a, in), Linear.Scratch.take(a, in, List.of(layer))));
    layer.forward(x, y, step.saved, step.scratch, false);
    assertThat(rank(ReferenceBackend.values(y), in, out)).isEqualTo(Math.min(r, Math.min(in, out)));
  }

  /** Elimination with full pivoting; what is left below 1e-10 of the largest pivot is rounding. */
  private static int rank(double[] m, int rows, int columns) {
    double largest = 0;
    for (int rank = 0; rank < Math.min(rows, columns); rank++) {
      int pivot = 0;
      for (int i = 0; i < m.length; i++) {
        pivot = Math.abs(m[i]) > Math.abs(m[pivot]) ? i : pivot;
      }
      double size = Math.abs(m[pivot]);
      largest = Math.max(largest, size);
      if (size <= 1e-10 * largest) {
        return rank;
      }
      double[] row =
          Arrays.copyOfRange(m, pivot / columns * columns, (pivot / columns + 1) * columns);
      double[] column = new double[rows];
      for (int i = 0; i < rows; i++) {
        column[i] = m[i * columns + pivot % columns] / m[pivot];
      }
      for (int i = 0; i < m.length; i++) {
        m[i] -= column[i / columns] * row[i % columns];
      }
    }
    return Math.min(rows, columns);
  }
}
