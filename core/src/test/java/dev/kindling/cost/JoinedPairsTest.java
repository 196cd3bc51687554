package dev.kindling.cost;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.lora.Halves;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.model.Golden;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What explain says of layers that read the same input. */
class JoinedPairsTest {
  private static List<JoinedPairs> joined(Golden golden) {
    List<LayerShape> layers =
        LayerShape.of(golden.plan.linears(), golden.layout, Halves.BOTH, 4, 6);
    return JoinedPairs.of(
        golden.plan.sharedInputs(), layers, golden.layout, shape -> PairPlan.PLAIN);
  }

  @Test
  void of_aLlama_isQueryKeyValueAndGateUpOfEveryBlock() {
    Golden golden = new Golden("llama-gqa");
    int r = golden.layout.settings().r();
    int blocks =
        (int) golden.plan.linears().stream().filter(m -> m.name().endsWith("q_proj")).count();
    assertThat(joined(golden))
        .containsExactly(
            new JoinedPairs("q_proj, k_proj, v_proj", 3L * r, blocks),
            new JoinedPairs("gate_proj, up_proj", 2L * r, blocks));
  }

  /** In the last block of a classifier query reads first tokens alone. */
  @Test
  void of_aClassifier_isWithoutTheLastQuery() {
    Golden golden = new Golden("bert");
    int r = golden.layout.settings().r();
    assertThat(joined(golden))
        .contains(new JoinedPairs("key, value", 2L * r, 1))
        .anyMatch(one -> one.words().equals("query, key, value"));
  }

  @Test
  void of_plansThatDiffer_isNone() {
    Golden golden = new Golden("llama-gqa");
    List<LayerShape> layers =
        LayerShape.of(golden.plan.linears(), golden.layout, Halves.BOTH, 4, 6);
    PairPlan other = PairPlan.of("f2b5").orElseThrow();
    List<JoinedPairs> joined =
        JoinedPairs.of(
            golden.plan.sharedInputs(),
            layers,
            golden.layout,
            shape -> shape.in() == shape.out() ? other : PairPlan.PLAIN);
    assertThat(joined).noneMatch(one -> one.words().startsWith("q_proj"));
  }
}
