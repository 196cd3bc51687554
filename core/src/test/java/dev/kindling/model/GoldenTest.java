package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.Parameter;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import dev.kindling.train.GradientSum;
import dev.kindling.train.MicroBatches;
import dev.kindling.train.TrainingState;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Logits, gradients, losses and trained adapters against an independent PyTorch program. */
class GoldenTest {
  /** Plain ones, and adapters on tables and heads, tied and trained in full. */
  static Stream<String> cases() {
    return Stream.of(
        "bert",
        "roberta",
        "llama-gqa",
        "llama3-rope-tied",
        "qwen2",
        "llama-bf16-sharded",
        "gpt2",
        "llama-tied-table-head",
        "llama-table-saved-head",
        "gpt2-table-head",
        "llama-rslora",
        "llama-dora",
        "gpt2-dora",
        "llama-loraplus");
  }

  private final Backend backend = open();

  /** The backend under test. */
  Backend open() {
    return Nd4jBackend.open(1);
  }

  @AfterEach
  void close() {
    backend.close();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void firstBatch_logitsAndEveryGradient_equalPyTorch(String name) {
    Golden golden = new Golden(name);
    try (Model model = golden.model(backend)) {
      float[] gradient = new float[golden.layout.elements()];
      TokenBatch batch = TokenBatch.of(golden.batch(0), golden.plan.rules());
      BatchResult result = model.gradient(batch, gradient);
      assertThat(result.loss() / result.targets())
          .isCloseTo(golden.settings.at("/expected/batch0.loss").asDouble(), offset(1e-5));

      float[] logits = model.logits();
      float[] expected = golden.expected.get("batch0.logits").floats();
      assertThat(logits).hasSameSizeAs(expected);
      int columns = logits.length / batch.labels().length;
      for (int i = 0; i < logits.length; i++) {
        int row = i / columns;
        boolean padding =
            batch.labels().length > batch.examples()
                && row % batch.tokens() >= batch.lengths()[row / batch.tokens()];
        if (!padding) {
          assertThat(logits[i]).isCloseTo(expected[i], offset(1e-4f));
        }
      }
      for (Parameter p : golden.layout.parameters()) {
        float[] wanted = p.fromStored(golden.expected.get("batch0.grad." + p.peftName()).floats());
        double off = 0;
        double norm = 0;
        for (int i = 0; i < wanted.length; i++) {
          double mean = gradient[p.offset() + i] / (double) result.targets();
          off += Math.pow(mean - wanted[i], 2);
          norm += Math.pow(wanted[i], 2);
        }
        assertThat(Math.sqrt(off / norm)).as(p.peftName()).isLessThan(1e-5);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "bert,4",
    "bert,1",
    "bert,3",
    "roberta,4",
    "roberta,2",
    "llama-gqa,4",
    "llama-gqa,1",
    "llama3-rope-tied,4",
    "llama3-rope-tied,3",
    "qwen2,4",
    "qwen2,2",
    "llama-bf16-sharded,4",
    "gpt2,4",
    "gpt2,3",
    "llama-tied-table-head,3",
    "llama-table-saved-head,2",
    "gpt2-table-head,4",
    "llama-rslora,4",
    "llama-dora,4",
    "gpt2-dora,4",
    "llama-loraplus,3"
  })
  void training_anyMicroBatchSize_followsPyTorch(String name, int micro) {
    Golden golden = new Golden(name);
    try (Model model = golden.model(backend)) {
      TrainingState state = golden.state();
      for (int step = 0; step < golden.steps(); step++) {
        assertThat(step(golden, model, state, step, micro))
            .isCloseTo(
                golden.settings.at("/expected/train.losses").get(step).asDouble(), offset(1e-4));
      }
      double learningRate = golden.optimizer().learningRate() * golden.learners().ratio();
      int far = 0;
      for (Parameter p : golden.layout.parameters()) {
        float[] wanted = p.fromStored(golden.expected.get("trained." + p.peftName()).floats());
        for (int i = 0; i < wanted.length; i++) {
          double off = Math.abs(state.trainables()[p.offset() + i] - wanted[i]);
          assertThat(off).as(p.peftName()).isLessThan(2 * learningRate);
          far += off > 1e-4 ? 1 : 0;
        }
      }
      assertThat(far).isLessThanOrEqualTo(golden.layout.elements() / 1000);
    }
  }

  /** Commits a step, rescaled as often as it takes; its loss. */
  static double step(Golden golden, Model model, TrainingState state, int step, int micro) {
    GradientSum sum = sum(golden, model, state, step, micro);
    while (!sum.fits()) {
      state.rescale(sum);
      sum = sum(golden, model, state, step, micro);
    }
    return state.commit(sum).loss();
  }

  private static GradientSum sum(
      Golden golden, Model model, TrainingState state, int step, int micro) {
    List<Example> rows = golden.batch(step);
    List<List<Example>> parts = new ArrayList<>();
    for (int from = 0; from < rows.size(); from += micro) {
      parts.add(rows.subList(from, Math.min(from + micro, rows.size())));
    }
    GradientSum sum = new GradientSum(golden.layout, state.exponents(), parts.size());
    model.load(state.trainables());
    new MicroBatches(model, golden.layout.elements())
        .each(
            parts.stream().map(part -> TokenBatch.of(part, golden.plan.rules())).iterator(),
            sum::add);
    return sum;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void evaluation_wholeFile_equalsPyTorch(String name) {
    Golden golden = new Golden(name);
    try (Model model = golden.model(backend)) {
      BatchResult result = model.evaluate(TokenBatch.of(golden.rows, golden.plan.rules()));
      double expected = golden.settings.at("/expected/eval.loss").asDouble();
      assertThat(result.loss() / result.targets()).isCloseTo(expected, offset(1e-5 * expected));
      assertThat(result.targets()).isEqualTo(golden.settings.at("/expected/eval.targets").asLong());
    }
  }
}
