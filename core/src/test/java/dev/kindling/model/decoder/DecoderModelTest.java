package dev.kindling.model.decoder;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.BatchResult;
import dev.kindling.model.Differences;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Golden;
import dev.kindling.model.LanguageModel.Continuation;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.ReferenceBackend;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What holds for every decoder: gradients, packing, recomputation, half widths, generation. */
class DecoderModelTest {
  @TempDir Path temp;

  private static AdapterLayout layout(Golden golden, String targets, double dropout, String saved) {
    return AdapterLayout.of(
        golden.plan.linears(),
        new AdapterSettings(
            3,
            6,
            dropout,
            new TargetModules.Regex(Pattern.compile(targets)),
            saved.isEmpty() ? List.of() : List.of(saved.split(" "))));
  }

  private static DecoderModel<?, ?> model(
      Golden golden, Backend backend, AdapterLayout layout, Storage storage, boolean recompute) {
    var slots = golden.plan.weights(layout);
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, storage);
    golden.base.stream(slots, loader::accept);
    return (DecoderModel<?, ?>) golden.plan.build(backend, loader.finish(), layout, recompute);
  }

  private static float[] random(AdapterLayout layout) {
    Random random = new Random(11);
    float[] values = new float[layout.elements()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (0.1 * random.nextGaussian());
    }
    return values;
  }

  /** All lengths differ, one row has no target, one is a single token. */
  private static List<Example> rows(Golden golden) {
    int[] lengths = {5, 3, 1, 4};
    return IntStream.range(0, 4)
        .mapToObj(
            j -> {
              Example row = golden.rows.get(j);
              int[] labels = Arrays.copyOf(row.ids(), lengths[j]);
              if (j == 1) {
                Arrays.fill(labels, Backend.IGNORED);
              }
              return new Example(row.position(), Arrays.copyOf(row.ids(), lengths[j]), labels);
            })
        .toList();
  }

  /**
   * Every block; heads and tables, tied and untied, adapted and trained in full. A tied table's
   * gradient is that of what was read from it, the head's that of the logits: two targets, as in
   * PEFT.
   */
  @ParameterizedTest
  @CsvSource({
    "llama-gqa, .*layers.*, 0.3, ''",
    "llama-gqa, .*(layers.1.*|lm_head), 0.3, ''",
    "llama-gqa, none, 0, lm_head",
    "llama-gqa, .*embed_tokens, 0, ''",
    "llama3-rope-tied, .*layers.*, 0, ''",
    "llama3-rope-tied, .*(embed_tokens|lm_head), 0, ''",
    "llama3-rope-tied, .*q_proj, 0.2, embed_tokens lm_head",
    "qwen2, .*layers.*, 0, ''",
    "qwen2, .*layers.0.*v_proj, 0.3, ''",
    "gpt2, .*h\\..*, 0.3, ''",
    "gpt2, .*(wte|wpe|c_attn|lm_head), 0, ''",
    "gpt2, .*c_fc, 0, wte wpe c_attn"
  })
  void gradient_everyTensor_matchesDifferences(
      String family, String targets, double dropout, String saved) {
    Golden golden = new Golden(family);
    ReferenceBackend backend = new ReferenceBackend();
    AdapterLayout layout = layout(golden, targets, dropout, saved);
    DecoderModel<?, ?> model = model(golden, backend, layout, Storage.FP32, false);
    TokenBatch batch = TokenBatch.of(rows(golden), golden.plan.rules());
    new Differences(backend, model, model.trainables()).check(batch, layout);
    model.close();
  }

  /** Examples behind each other in a row: losses and gradients of those examples alone. */
  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "llama3-rope-tied", "qwen2", "gpt2"})
  void packedRows_anyFamily_haveTheGradientOfTheirExamples(String family) {
    Golden golden = new Golden(family);
    AdapterLayout layout = layout(golden, ".*", 0.3, "");
    try (Backend backend = Nd4jBackend.open(1);
        DecoderModel<?, ?> model = model(golden, backend, layout, Storage.FP32, false)) {
      model.load(random(layout));
      List<Example> rows = golden.rows.subList(0, 5);
      float[] expected = new float[layout.elements()];
      BatchResult apart = model.gradient(TokenBatch.of(rows, golden.plan.rules(), 9), expected);
      float[] found = new float[layout.elements()];
      List<List<Example>> packed =
          List.of(
              List.of(rows.get(3), rows.get(0)),
              List.of(rows.get(4)),
              List.of(rows.get(2), rows.get(1)));
      BatchResult together =
          model.gradient(TokenBatch.packed(packed, golden.plan.rules(), 9), found);
      assertThat(together.loss()).isCloseTo(apart.loss(), offset(1e-5 * apart.loss()));
      assertThat(together.targets()).isEqualTo(apart.targets());
      assertThat(together.tokens()).isEqualTo(apart.tokens());
      assertClose(found, expected, 1e-5);
    }
  }

  /** Dropout included: the second forward draws the masks of the first. */
  @ParameterizedTest
  @CsvSource({"llama-gqa,.*", "qwen2,.*layers.1.*", "gpt2,.*h.*", "llama3-rope-tied,.*embed.*"})
  void recompute_anyFamily_hasTheSameGradient(String family, String targets) {
    Golden golden = new Golden(family);
    AdapterLayout layout = layout(golden, targets, 0.3, "");
    TokenBatch batch = TokenBatch.of(golden.rows.subList(0, 5), golden.plan.rules());
    try (Backend backend = Nd4jBackend.open(1);
        DecoderModel<?, ?> keeps = model(golden, backend, layout, Storage.FP32, false);
        DecoderModel<?, ?> again = model(golden, backend, layout, Storage.FP32, true)) {
      float[] expected = new float[layout.elements()];
      float[] found = new float[layout.elements()];
      keeps.load(random(layout));
      again.load(random(layout));
      double loss = keeps.gradient(batch, expected).loss();
      assertThat(again.gradient(batch, found).loss()).isEqualTo(loss);
      assertClose(found, expected, 1e-6);
      assertThat(again.stepBytes(new TokenBatch.Shape(4, 16, 4), true).activations())
          .isLessThan(keeps.stepBytes(new TokenBatch.Shape(4, 16, 4), true).activations());
    }
  }

  /** bf16 words widened in each product are the numbers that were widened when loaded. */
  @ParameterizedTest
  @ValueSource(strings = {"llama-bf16-sharded", "gpt2"})
  void asStored_halfWidthBase_hasTheSameGradientInHalfTheMemory(String name) {
    Golden golden = new Golden(name);
    if (name.equals("gpt2")) { // stored turned, and here in bf16
      golden = golden.inHalfWidth(temp);
    }
    AdapterLayout layout = layout(golden, ".*", 0, "");
    TokenBatch batch = TokenBatch.of(golden.rows.subList(0, 5), golden.plan.rules());
    try (Backend backend = Nd4jBackend.open(1);
        DecoderModel<?, ?> wide = model(golden, backend, layout, Storage.FP32, false);
        DecoderModel<?, ?> half = model(golden, backend, layout, Storage.AS_STORED, false)) {
      float[] expected = new float[layout.elements()];
      float[] found = new float[layout.elements()];
      wide.load(random(layout));
      half.load(random(layout));
      double loss = wide.gradient(batch, expected).loss();
      assertThat(half.gradient(batch, found).loss()).isCloseTo(loss, offset(1e-6 * loss));
      assertClose(found, expected, 1e-6);
    }
  }

  /** Whatever the tokens are appended by, the next one's logits are those of the whole. */
  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "llama3-rope-tied", "qwen2", "gpt2"})
  void continuation_tokensInAnyPortions_hasTheLogitsOfTheWhole(String family) {
    Golden golden = new Golden(family);
    try (Backend backend = Nd4jBackend.open(1);
        DecoderModel<?, ?> model = model(golden, backend, golden.layout, Storage.FP32, false)) {
      model.load(golden.adapter.values(golden.layout));
      int[] ids = golden.rows.get(2).ids();
      int vocabulary = golden.plan.vocabulary();
      model.evaluate(TokenBatch.of(List.of(golden.rows.get(2)), golden.plan.rules()));
      float[] whole = model.logits();
      for (int portion : new int[] {1, 2, 3, ids.length}) {
        float[] next = new float[vocabulary];
        try (Continuation text = model.continuation(ids.length)) {
          for (int from = 0; from < ids.length; from += portion) {
            int to = Math.min(ids.length, from + portion);
            text.append(Arrays.copyOfRange(ids, from, to), next);
            int row = (to - 1) * vocabulary;
            assertClose(next, Arrays.copyOfRange(whole, row, row + vocabulary), 1e-5);
          }
          assertThat(text.tokens()).isEqualTo(ids.length);
          assertThatThrownBy(() -> text.append(new int[] {1}, next))
              .hasMessageContaining("exceed a capacity of " + ids.length);
        }
      }
    }
  }

  private static void assertClose(float[] found, float[] expected, double tolerance) {
    double largest = 0;
    for (float e : expected) {
      largest = Math.max(largest, Math.abs(e));
    }
    assertThat(largest).isPositive();
    for (int i = 0; i < expected.length; i++) {
      assertThat((double) found[i])
          .as("element %d", i)
          .isCloseTo(expected[i], offset(tolerance * largest));
    }
  }
}
