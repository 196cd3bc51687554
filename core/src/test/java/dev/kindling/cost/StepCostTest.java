package dev.kindling.cost;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Percentage.withPercentage;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.cost.Work.Kind;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.Halves;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.model.Golden;
import dev.kindling.model.Model;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Counting;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a dry walk counts against closed formulas and against what a real step asks for. */
class StepCostTest {
  private static StepCost dry(Golden golden, Backend sizes, PlanChooser chooser) {
    return dry(golden, sizes, chooser, Halves.BOTH);
  }

  private static StepCost dry(Golden golden, Backend sizes, PlanChooser chooser, Halves halves) {
    Map<WeightSlot, StoredType> stored = new LinkedHashMap<>();
    golden.plan.weights(golden.layout).forEach(slot -> stored.put(slot, StoredType.F32));
    return new StepCost(
        sizes, golden.plan, golden.layout, stored, Storage.FP32, chooser, halves, false);
  }

  @ParameterizedTest
  @ValueSource(strings = {"f1kb1", "f1b1", "f2b5", "f2b4"})
  void products_ofALlama_areTheAlgebras(String id) {
    Golden golden = new Golden("llama-gqa");
    PairPlan plan = PairPlan.of(id).orElseThrow();

    try (Backend sizes = new OneDnnBackend(Precision.FP32, 1)) {
      Cost cost = dry(golden, sizes, new PlanChooser.Fixed(plan)).of(new TokenBatch.Shape(3, 7, 3));
      long expected = 0;
      long n = 21;
      for (LinearModule m : golden.plan.linears()) {
        boolean lowest = m.name().matches(".*layers\\.0\\.self_attn\\.[qkv]_proj");
        long frozen = 2L * n * m.in() * m.out();
        switch (m.kind()) {
          case VOCABULARY -> expected += 2 * frozen;
          case BLOCK ->
              expected +=
                  golden.layout.find(m.name(), Role.A).isPresent()
                      ? plan.flops(
                          new PairShape(n, m.in(), m.out(), golden.layout.settings().r()), !lowest)
                      : lowest ? frozen : 2 * frozen;
          case EMBEDDING, HEAD, SUMMARY -> {}
        }
      }
      assertThat(cost.flops(Kind.PRODUCT)).isEqualTo(expected);
    }
  }

  /**
   * dyᵀ·p is for B alone, zᵀ·x for A alone, and so is z = dy·b in the lowest layers, below which
   * nothing learns.
   */
  @Test
  void products_whereOneHalfLearns_areWithoutTheOthers() {
    Golden golden = new Golden("llama-gqa");
    TokenBatch.Shape shape = new TokenBatch.Shape(3, 7, 3);
    PlanChooser plain = new PlanChooser.Fixed(PairPlan.PLAIN);
    long both;
    long ofB;
    long ofA;
    try (Backend sizes = new OneDnnBackend(Precision.FP32, 1)) {
      both = dry(golden, sizes, plain, Halves.BOTH).of(shape).flops(Kind.PRODUCT);
      ofB = dry(golden, sizes, plain, Halves.B).of(shape).flops(Kind.PRODUCT);
      ofA = dry(golden, sizes, plain, Halves.A).of(shape).flops(Kind.PRODUCT);
    }
    long withoutA = 0;
    long withoutB = 0;
    long each = 2L * 21 * golden.layout.settings().r();
    for (LinearModule m : golden.plan.linears()) {
      if (golden.layout.find(m.name(), Role.A).isPresent()) {
        boolean lowest = m.name().matches(".*layers\\.0\\.self_attn\\.[qkv]_proj");
        withoutA += each * (m.in() + (lowest ? m.out() : 0));
        withoutB += each * m.out();
      }
    }
    assertThat(both - ofB).isEqualTo(withoutA).isPositive();
    assertThat(both - ofA).isEqualTo(withoutB).isPositive();
  }

  @ParameterizedTest
  @ValueSource(strings = {"bert", "llama-gqa", "gpt2"})
  void products_ofAnyFamily_areThoseOfARealStep(String name) {
    Golden golden = new Golden(name);
    TokenBatch batch = TokenBatch.of(golden.batch(0), golden.plan.rules());
    try (Backend real = new OneDnnBackend(Precision.FP32, 1)) {
      Cost dry = dry(golden, real, new PlanChooser.FewestFlops()).of(batch.shape());
      Counting counting = new Counting(real);
      Model model = golden.model(counting.backend());
      int before = counting.calls().size();
      model.gradient(batch, new float[golden.layout.elements()]);
      long products =
          counting.calls().subList(before, counting.calls().size()).stream()
              .filter(
                  call ->
                      List.of("linear", "linearBackward", "matmul", "merge")
                          .contains(call.operation()))
              .count();
      long counted =
          dry.works().entrySet().stream()
              .filter(e -> e.getKey().kind() == Kind.PRODUCT)
              .mapToInt(Map.Entry::getValue)
              .sum();
      assertThat(counted).isEqualTo(products).isPositive();
      model.close();
    }
  }

  @ParameterizedTest
  @CsvSource({"3,7,7,true", "2,5,9,true", "2,5,9,false", "1,1,1,true"})
  void attention_pairsOfQueriesAndKeys_areThoseThatAreLookedAt(
      int batch, int tokens, int keys, boolean causal) {
    AttentionShape shape = new AttentionShape(batch, tokens, keys, 4, 2, 3, causal);
    long pairs = 0;
    for (int t = 0; t < tokens; t++) {
      pairs += causal ? keys - tokens + t + 1 : keys;
    }
    assertThat(Work.attentionFlops(shape, 2)).isEqualTo(2L * 2 * batch * pairs * 12);
  }

  @Test
  void rates_ofThisMachine_predictWhatTheyMeasured() {
    Golden golden = new Golden("llama-gqa");
    try (Backend backend = new OneDnnBackend(Precision.FP32, 1)) {
      Cost cost =
          dry(golden, backend, new PlanChooser.FewestFlops()).of(new TokenBatch.Shape(2, 16, 2));
      Rates rates = Rates.measure(backend, Rates.probe(cost));
      assertThat(rates.productFlops()).isPositive();
      assertThat(rates.attentionFlops()).isPositive();
      assertThat(rates.bytes()).isPositive();
      assertThat(cost.seconds(rates)).isPositive().isFinite();
    }
  }

  @Test
  void seconds_areTheSlowerOfOperationsAndBytes() {
    Rates rates = new Rates(100, 10, 8);
    assertThat(rates.seconds(new Work(Kind.PRODUCT, 1000, 8))).isEqualTo(10);
    assertThat(rates.seconds(new Work(Kind.PRODUCT, 1000, 160))).isEqualTo(20);
    assertThat(rates.seconds(new Work(Kind.ATTENTION, 1000, 8))).isEqualTo(100);
    assertThat(rates.seconds(new Work(Kind.ELEMENTS, 0, 8))).isEqualTo(1);
    Cost cost =
        new Cost(
            Map.of(new Work(Kind.PRODUCT, 1000, 8), 2, new Work(Kind.ELEMENTS, 0, 8), 3),
            null,
            null);
    assertThat(cost.seconds(rates)).isCloseTo(23, withPercentage(1e-9));
    assertThat(cost.flops()).isEqualTo(2000);
    assertThat(cost.bytes()).isEqualTo(40);
  }
}
