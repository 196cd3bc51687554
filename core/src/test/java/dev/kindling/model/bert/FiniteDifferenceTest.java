package dev.kindling.model.bert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Golden;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The whole model's backward against central differences of Σ loss in float64: a foreign program
 * could share our misreading of a paper, the definition of a derivative cannot.
 */
class FiniteDifferenceTest {
  private static final double EPSILON = 1e-5;

  /** Relative to the tensor's largest gradient; ε² and rounding leave 1e-8. */
  private static final double TOLERANCE = 1e-6;

  private final ReferenceBackend backend = new ReferenceBackend();
  private final Random random = new Random(53);

  /** Which layers get a pair, dropout, and which are trained in full. */
  @ParameterizedTest
  @CsvSource({
    "bert, .*(query|key|value), 0, classifier",
    "bert, .*(layer.*|pooler\\.dense), 0.3, classifier",
    "bert, .*layer.*, 0.3, classifier pooler",
    "bert, .*layer\\.1.*, 0, classifier",
    "bert, none, 0, classifier",
    "bert, none, 0, pooler classifier",
    "roberta, .*(query|value), 0, classifier",
    "roberta, .*(layer.*|classifier.*), 0.3, ''",
    "roberta, .*layer.*, 0, out_proj",
    "roberta, .*layer\\.0.*intermediate.*, 0.3, ''",
    "roberta, none, 0, classifier.dense"
  })
  void gradient_everyTensor_matchesDifferences(
      String family, String targets, double dropout, String saved) {
    Golden golden = new Golden(family);
    AdapterLayout layout =
        AdapterLayout.of(
            golden.plan.linears(),
            new AdapterSettings(
                3,
                6,
                dropout,
                new TargetModules.Regex(Pattern.compile(targets)),
                saved.isEmpty() ? List.of() : List.of(saved.split(" "))));
    FrozenWeights.Loader loader =
        new FrozenWeights.Loader(backend, golden.plan.weights(layout), false);
    golden.base.stream(golden.plan.weights(layout), loader::accept);
    BertModel model = (BertModel) golden.plan.build(backend, loader.finish(), layout, false);
    Tensor values = model.trainables().values();
    for (int i = 0; i < layout.elements(); i++) {
      ReferenceBackend.set(values, i, 0.1 * random.nextGaussian());
    }
    TokenBatch batch = TokenBatch.of(rows(golden), golden.plan.rules());
    float[] ignored = new float[layout.elements()];
    model.gradient(batch, ignored);
    double[] gradient = ReferenceBackend.values(model.trainables().gradients());

    assertThat(layout.parameters()).isNotEmpty();
    for (Parameter p : layout.parameters()) {
      double largest =
          Arrays.stream(gradient, p.offset(), p.offset() + p.elements())
              .map(Math::abs)
              .max()
              .orElseThrow();
      assertThat(largest).as(p.name()).isPositive();
      for (int trial = 0; trial < 3; trial++) {
        int i = p.offset() + random.nextInt(p.elements());
        double at = ReferenceBackend.values(values)[i];
        ReferenceBackend.set(values, i, at + EPSILON);
        double above = loss(model, batch);
        ReferenceBackend.set(values, i, at - EPSILON);
        double below = loss(model, batch);
        ReferenceBackend.set(values, i, at);
        assertThat((above - below) / (2 * EPSILON))
            .as("%s, element %d", p.name(), i - p.offset())
            .isCloseTo(gradient[i], offset(TOLERANCE * largest));
      }
    }
    model.close();
  }

  /** In training mode, so that dropout takes part: its mask is a function of the rows' keys. */
  private double loss(BertModel model, TokenBatch batch) {
    model.gradient(batch, new float[Math.toIntExact(model.trainables().values().elements())]);
    return backend.latestLoss();
  }

  /** Short rows, for speed: all lengths differ, one row has no target, one is a single token. */
  private static List<Example> rows(Golden golden) {
    int[] lengths = {5, 3, 1, 4};
    return List.of(0, 1, 2, 3).stream()
        .map(
            j -> {
              Example row = golden.rows.get(j);
              int[] label = j == 1 ? new int[] {Backend.IGNORED} : row.labels();
              return new Example(row.position(), Arrays.copyOf(row.ids(), lengths[j]), label);
            })
        .toList();
  }
}
