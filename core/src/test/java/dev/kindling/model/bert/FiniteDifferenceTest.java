package dev.kindling.model.bert;

import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.Differences;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Golden;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Storage;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** BERT's and RoBERTa's backward against the definition of a derivative. */
class FiniteDifferenceTest {
  private final ReferenceBackend backend = new ReferenceBackend();

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
        new FrozenWeights.Loader(backend, golden.plan.weights(layout), Storage.FP32);
    golden.base.stream(golden.plan.weights(layout), loader::accept);
    BertModel model = (BertModel) golden.plan.build(backend, loader.finish(), layout, false);
    TokenBatch batch = TokenBatch.of(rows(golden), golden.plan.rules());
    new Differences(backend, model, model.trainables()).check(batch, layout);
    model.close();
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
