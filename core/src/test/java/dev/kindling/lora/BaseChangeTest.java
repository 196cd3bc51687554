package dev.kindling.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.data.TokenBatch;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Golden;
import dev.kindling.model.Model;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A base that has changed, and the adapter that stands for the change. */
class BaseChangeTest {
  private final Random random = new Random(67);

  private BaseChange change(AdapterLayout layout, int rank) {
    float[] factors = new float[layout.pairs(rank).elements()];
    for (int i = 0; i < factors.length; i++) {
      factors[i] = (float) (0.1 * random.nextGaussian());
    }
    return new BaseChange(rank, factors);
  }

  private static float[] logits(Golden golden, Model model) {
    model.evaluate(TokenBatch.of(golden.rows, golden.plan.rules()));
    return model.logits();
  }

  /** Layers, tables, weights stored turned, layers trained in full; 2e-5 is what fp32 loses. */
  @ParameterizedTest
  @CsvSource({
    "bert,onednn",
    "roberta,nd4j",
    "gpt2,onednn",
    "llama-gqa,nd4j",
    "llama-table-saved-head,onednn"
  })
  void folded_wholeModel_equalsTheChangedBase(String name, String engine) {
    Golden golden = new Golden(name);
    AdapterLayout layout = golden.layout;
    float[] trained = golden.adapter.values(layout);
    List<BaseChange> changes = List.of(change(layout, 5), change(layout, 1));
    BaseChange.Adapter folded = BaseChange.folded(layout, trained, changes);
    assertThat(folded.layout().settings().r()).isEqualTo(layout.settings().r() + 6);
    try (Backend backend =
            engine.equals("nd4j") ? Nd4jBackend.open(1) : new OneDnnBackend(Precision.FP32, 1);
        FrozenWeights base = golden.weights(backend);
        Model model = golden.plan.build(backend, base, layout, false);
        Model other = golden.plan.build(backend, base, folded.layout(), false)) {
      model.load(trained);
      other.load(folded.values());
      float[] unchanged = logits(golden, model);
      float[] expected = logits(golden, other);
      changes.forEach(change -> base.add(backend, golden.plan.linears(), layout, change));
      float[] found = logits(golden, model);
      double largest = 0;
      for (float value : expected) {
        largest = Math.max(largest, Math.abs(value));
      }
      for (int i = 0; i < found.length; i++) {
        assertThat((double) found[i]).isCloseTo(expected[i], offset(2e-5 * largest));
      }
      assertThat(found).isNotEqualTo(unchanged);
    }
  }

  /** s·B·A of the pairs by themselves, in the frozen weights' place. */
  @ParameterizedTest
  @CsvSource({"bert", "gpt2", "llama-table-saved-head"})
  void of_pairsMerged_leavesTheFunctionAndNothingForThePairsToDo(String name) {
    Golden golden = new Golden(name);
    AdapterLayout layout = golden.layout;
    float[] trained = golden.adapter.values(layout);
    try (Backend backend = new OneDnnBackend(Precision.FP32, 1);
        FrozenWeights base = golden.weights(backend);
        Model model = golden.plan.build(backend, base, layout, false)) {
      model.load(trained);
      float[] expected = logits(golden, model);
      base.add(backend, golden.plan.linears(), layout, BaseChange.of(layout, trained));
      for (Parameter p : layout.parameters()) {
        for (int i = 0; !p.role().whole() && i < p.elements(); i++) {
          trained[p.offset() + i] = 0;
        }
      }
      model.load(trained);
      float[] found = logits(golden, model);
      for (int i = 0; i < found.length; i++) {
        assertThat((double) found[i]).isCloseTo(expected[i], offset(2e-5));
      }
    }
  }

  /** [out, r1]·[r1, in] and [out, r2]·[r2, in] stand side by side in [out, r1 + r2]. */
  @ParameterizedTest
  @CsvSource({"1,1", "2,3"})
  void sum_twoChanges_hasTheirRowsAndColumns(int r1, int r2) {
    LinearModule module = new LinearModule("layer", 2, 3, false, true);
    AdapterLayout layout =
        AdapterLayout.of(
            List.of(module), new AdapterSettings(4, 8, 0, new TargetModules.Blocks(), List.of()));
    BaseChange one = change(layout, r1);
    BaseChange two = change(layout, r2);
    BaseChange sum = BaseChange.sum(layout, List.of(one, two));
    AdapterLayout wide = layout.pairs(r1 + r2);
    assertThat(wide.settings().scale()).isEqualTo(layout.settings().scale());
    Parameter a = wide.find("layer", Role.A).orElseThrow();
    Parameter b = wide.find("layer", Role.B).orElseThrow();
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 2; j++) {
        double expected = product(one, i, j) + product(two, i, j);
        double found = 0;
        for (int k = 0; k < r1 + r2; k++) {
          found +=
              (double) sum.factors()[b.offset() + i * (r1 + r2) + k]
                  * sum.factors()[a.offset() + k * 2 + j];
        }
        assertThat(found).isCloseTo(expected, offset(1e-12));
      }
    }
  }

  /** B·A at [i, j] of a layer [3, 2]: A's rows come first, then B. */
  private static double product(BaseChange change, int i, int j) {
    double sum = 0;
    int r = change.rank();
    for (int k = 0; k < r; k++) {
      sum += (double) change.factors()[2 * r + i * r + k] * change.factors()[k * 2 + j];
    }
    return sum;
  }
}
