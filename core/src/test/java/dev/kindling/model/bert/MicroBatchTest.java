package dev.kindling.model.bert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.BatchResult;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Golden;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Storage;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A row's gradient is its own: neither neighbours, padding nor earlier batches have a say in it.
 */
class MicroBatchTest {
  private final ReferenceBackend backend = new ReferenceBackend();

  private static List<Example> rows(Golden golden) {
    return golden.rows.subList(0, 4);
  }

  private BertModel model(Golden golden, double dropout) {
    AdapterLayout layout =
        AdapterLayout.of(
            golden.plan.linears(),
            new AdapterSettings(3, 6, dropout, new TargetModules.AllLinear(), golden.plan.head()));
    FrozenWeights.Loader loader =
        new FrozenWeights.Loader(backend, golden.plan.weights(layout), Storage.FP32);
    golden.base.stream(golden.plan.weights(layout), loader::accept);
    BertModel model = (BertModel) golden.plan.build(backend, loader.finish(), layout, false);
    float[] vector = new float[layout.elements()];
    for (int i = 0; i < vector.length; i++) {
      vector[i] = (float) (0.1 * Math.sin(i));
    }
    model.load(vector);
    return model;
  }

  private static double[] gradient(BertModel model, Golden golden, List<Example> rows) {
    return gradient(model, TokenBatch.of(rows, golden.plan.rules()));
  }

  private static double[] gradient(BertModel model, TokenBatch batch) {
    int elements = Math.toIntExact(model.trainables().values().elements());
    model.gradient(batch, new float[elements]);
    return ReferenceBackend.values(model.trainables().gradients());
  }

  /** Dropout too: masks are functions of row and token, so a step is one step however it is cut. */
  @ParameterizedTest
  @ValueSource(strings = {"bert", "roberta"})
  void gradient_rowsAloneOrTogether_haveTheSameSum(String name) {
    Golden golden = new Golden(name);
    BertModel model = model(golden, 0.3);
    double[] together = gradient(model, golden, rows(golden));
    double[] sum = new double[together.length];
    for (Example row : rows(golden)) {
      double[] alone = gradient(model, golden, List.of(row));
      for (int i = 0; i < sum.length; i++) {
        sum[i] += alone[i];
      }
    }
    for (int i = 0; i < sum.length; i++) {
      assertThat(sum[i]).isCloseTo(together[i], offset(1e-10));
    }
    model.close();
  }

  /** Each looks at its own tokens only, and each first token is read for its own label. */
  @ParameterizedTest
  @ValueSource(strings = {"bert", "roberta"})
  void gradient_examplesThatShareRows_isTheSame(String name) {
    Golden golden = new Golden(name);
    BertModel model = model(golden, 0.3);
    double[] apart = gradient(model, golden, rows(golden));
    List<Example> rows = rows(golden);
    List<List<Example>> shared =
        List.of(List.of(rows.get(2), rows.get(0), rows.get(3)), List.of(rows.get(1)));
    double[] together = gradient(model, TokenBatch.packed(shared, golden.plan.rules(), 0));
    for (int i = 0; i < apart.length; i++) {
      assertThat(together[i]).isCloseTo(apart[i], offset(1e-10));
    }
    model.close();
  }

  /** Memory of larger and smaller batches in between is reused, its contents are not. */
  @ParameterizedTest
  @ValueSource(strings = {"bert", "roberta"})
  void gradient_afterOtherShapes_isTheSameBitForBit(String name) {
    Golden golden = new Golden(name);
    BertModel model = model(golden, 0.3);
    double[] first = gradient(model, golden, rows(golden).subList(1, 2));
    gradient(model, golden, rows(golden));
    gradient(model, golden, rows(golden).subList(0, 3));
    assertThat(gradient(model, golden, rows(golden).subList(1, 2))).isEqualTo(first);
    model.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"bert", "roberta"})
  void evaluate_modelWithDropout_isTheOneWithout(String name) {
    Golden golden = new Golden(name);
    TokenBatch batch = TokenBatch.of(rows(golden), golden.plan.rules());
    BertModel dropping = model(golden, 0.3);
    BertModel plain = model(golden, 0);
    BatchResult expected = plain.evaluate(batch);
    assertThat(dropping.evaluate(batch)).isEqualTo(expected);
    float[] ignored = new float[Math.toIntExact(plain.trainables().values().elements())];
    assertThat(plain.gradient(batch, ignored)).isEqualTo(expected);
    assertThat(dropping.gradient(batch, ignored).loss()).isNotEqualTo(expected.loss());
  }
}
