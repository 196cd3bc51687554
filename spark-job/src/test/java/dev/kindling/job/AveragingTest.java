package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.job.cli.InProcess;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.model.Golden;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Parameter averaging, driven by Deeplearning4j Spark. */
class AveragingTest {
  private static final String AVERAGING = "sync.mode=averaging";

  @TempDir Path temp;

  @BeforeEach
  void open() {
    System.setProperty("spark.extraListeners", StopAtStep.class.getName());
  }

  @AfterEach
  void close() {
    System.clearProperty("spark.extraListeners");
  }

  private Path run(int cores, GoldenFolder golden, String... more) {
    Path output = temp.resolve("out-" + Math.abs(Arrays.hashCode(more)) + "-" + cores);
    InProcess run = kindling(cores, golden.train(output, more));
    assertThat(run.code()).as(run.stdout()).isZero();
    return output;
  }

  private static Path adapter(Path output) {
    return output.resolve("adapter/adapter_model.safetensors");
  }

  private static void assertClose(Path output, Path expected, double most) {
    Map<String, StoredTensor> found = Safetensors.open(adapter(output));
    Map<String, StoredTensor> wanted = Safetensors.open(adapter(expected));
    assertThat(found.keySet()).isEqualTo(wanted.keySet());
    found.forEach(
        (name, tensor) ->
            assertThat(tensor.floats())
                .as(name)
                .usingComparatorWithPrecision((float) most)
                .containsExactly(wanted.get(name).floats()));
  }

  /** methods.md D1: with SGD and no clipping an averaging each step is one large batch. */
  @ParameterizedTest
  @CsvSource({
    "bert,2,lora",
    "bert,3,lora",
    "llama-gqa,4,lora",
    "llama-table-saved-head,2,lora",
    "llama-gqa,2,ffa-lora",
    "llama-gqa,2,rac-lora"
  })
  void train_everyStepWithSgd_equalsSynchronousGradients(String name, int workers, String method) {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    String[] sgd = {
      "method=" + method,
      "optimizer.name=sgd",
      "optimizer.learning-rate=0.05",
      "train.max-grad-norm=0",
      "train.micro-batch-size=1"
    };
    Path gradients = run(2, golden, sgd);
    String[] averaged = Arrays.copyOf(sgd, sgd.length + 3);
    averaged[sgd.length] = AVERAGING;
    averaged[sgd.length + 1] = "sync.averaging-frequency=1";
    averaged[sgd.length + 2] = "sync.workers=" + workers;
    Path averages = run(2, golden, averaged);
    assertClose(averages, gradients, 1e-6);
    List<Double> losses = GoldenFolder.losses(gradients);
    assertThat(GoldenFolder.losses(averages))
        .usingComparatorForType((a, b) -> Math.abs(a - b) < 1e-6 ? 0 : 1, Double.class)
        .isEqualTo(losses);
  }

  /** One worker trains as PyTorch does, whenever it is averaged with itself. */
  @ParameterizedTest
  @CsvSource({"bert,1", "gpt2,2", "qwen2,100"})
  void train_oneWorker_isLocalTraining(String name, int frequency) {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    Path output =
        run(1, golden, AVERAGING, "sync.averaging-frequency=" + frequency, "sync.workers=1");
    assertThat(golden.shareOff(output)).isBetween(0.0, 0.001);
    Path whole = run(1, golden);
    assertThat(GoldenFolder.losses(output))
        .usingComparatorForType((a, b) -> Math.abs(a - b) < 1e-4 ? 0 : 1, Double.class)
        .isEqualTo(golden.expectedLosses());
    assertThat(ledgers(output)).isEqualTo(ledgers(whole));
  }

  private static List<String> ledgers(Path output) {
    List<String> ledgers = new ArrayList<>();
    try {
      for (String line : Files.readAllLines(output.resolve("metrics.jsonl"))) {
        JsonNode step = new ObjectMapper().readTree(line);
        ledgers.add(step.get("step") + " " + step.get("ledger") + " " + step.get("tokens"));
      }
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    return ledgers;
  }

  /** Adam with clipping, warm-up and decay; the outer step if its momentum is above 0. */
  @ParameterizedTest
  @CsvSource({"3,2,1,0", "2,4,1,0", "4,3,0.7,0.9", "2,1,0.5,0.5"})
  void train_severalWorkers_equalsAPlainEmulation(
      int workers, int frequency, double rate, double momentum) {
    GoldenFolder folder = GoldenFolder.copy("bert", temp);
    Golden golden = new Golden(folder.folder());
    List<String> more =
        new ArrayList<>(
            List.of(
                AVERAGING,
                "sync.workers=" + workers,
                "sync.averaging-frequency=" + frequency,
                "train.micro-batch-size=" + golden.batchSize()));
    if (momentum > 0) {
      more.add("sync.outer=nesterov");
      more.add("sync.outer-learning-rate=" + rate);
      more.add("sync.outer-momentum=" + momentum);
    }
    Path output = run(2, folder, more.toArray(new String[0]));
    double[] expected = PlainAveraging.of(golden, workers, frequency, rate, momentum);
    Map<String, StoredTensor> found = Safetensors.open(adapter(output));
    for (Parameter p : golden.layout.parameters()) {
      float[] values = p.fromStored(found.get(p.peftName()).floats());
      for (int i = 0; i < values.length; i++) {
        assertThat((double) values[i])
            .as(p.peftName())
            .isCloseTo(expected[p.offset() + i], org.assertj.core.data.Offset.offset(2e-5));
      }
    }
  }

  /** DiLoCo's reduction: an outer step of rate 1 without momentum is the average. */
  @Test
  void train_outerRateOneWithoutMomentum_isTheAverage() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    String[] average = {AVERAGING, "sync.workers=2", "sync.averaging-frequency=2"};
    String[] outer = {
      AVERAGING,
      "sync.workers=2",
      "sync.averaging-frequency=2",
      "sync.outer=nesterov",
      "sync.outer-learning-rate=1",
      "sync.outer-momentum=0"
    };
    assertThat(adapter(run(2, golden, outer)))
        .hasSameBinaryContentAs(adapter(run(2, golden, average)));
  }

  /** With A still, the mean of B·A is the mean of B times A. */
  @Test
  void train_ffa_leavesAAsItBegan() {
    GoldenFolder golden = GoldenFolder.copy("llama-gqa", temp);
    Path output =
        run(
            2,
            golden,
            AVERAGING,
            "sync.workers=2",
            "sync.averaging-frequency=2",
            "sync.exactness=ffa",
            "optimizer.weight-decay=0.5");
    Map<String, StoredTensor> before =
        Safetensors.open(Path.of(golden.path("adapter/adapter_model.safetensors")));
    Golden same = new Golden(golden.folder());
    int moved = 0;
    Map<String, StoredTensor> after = Safetensors.open(adapter(output));
    for (Parameter p : same.layout.parameters()) {
      float[] was = before.get(p.peftName()).floats();
      float[] is = after.get(p.peftName()).floats();
      if (p.role() == Role.A) {
        assertThat(is).as(p.peftName()).isEqualTo(was);
      } else {
        moved += Arrays.equals(is, was) ? 0 : 1;
      }
    }
    assertThat(moved).isPositive();
  }

  /** The same bytes on any cores, and after any stop; the number of workers is remembered. */
  @ParameterizedTest
  @ValueSource(strings = {"sync.outer=average", "sync.outer=nesterov", "sync.exactness=fedex"})
  void train_stoppedAndOnOtherCores_givesTheSameBytes(String way) throws IOException {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    String[] settings = {
      AVERAGING,
      way,
      "sync.averaging-frequency=2",
      "train.steps=9",
      "checkpoint.every-steps=3",
      "adapter.dropout=0.2",
      "data.shuffle=true",
      "train.micro-batch-size=1"
    };
    Path whole = run(3, golden, settings);
    Path output = temp.resolve("output");
    List<String> train = golden.train(output, settings);
    assertThat(kindling(3, train, StopAtStep.at(5)).code()).isEqualTo(10);
    assertThat(kindling(1, train, StopAtStep.at(7)).code()).isEqualTo(10);
    InProcess last = kindling(2, train);
    assertThat(last.code()).as(last.stdout()).isZero();
    assertThat(adapter(output)).hasSameBinaryContentAs(adapter(whole));
    assertThat(ledgers(output)).isEqualTo(ledgers(whole)).hasSize(9);
    JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
    assertThat(manifest.at("/inputs/sync.workers").asText()).isEqualTo("3");
    assertThat(kindling(1, List.of("verify", output.toString())).code()).isZero();
  }

  @Test
  void train_otherNumberOfWorkersThanBegun_isRefusedByName() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path output = temp.resolve("output");
    String[] settings = {AVERAGING, "sync.averaging-frequency=1", "checkpoint.every-steps=1"};
    assertThat(kindling(2, golden.train(output, settings), StopAtStep.at(3)).code()).isEqualTo(10);
    List<String> other = golden.train(output, settings);
    other.add("sync.workers=3");
    InProcess refused = kindling(2, other);
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains("sync.workers");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "sync.workers=2 | sync.workers is for sync.mode = averaging",
        "sync.mode=averaging sync.compression=bf16 | is for sync.mode = gradients",
        "sync.mode=averaging sync.sums=host | is for sync.mode = gradients",
        "sync.sums=host sync.compression=bf16 | leave one of the two out",
        "base.path=maven:a:b:1 base.delivery=storage | base.delivery = storage",
        "sync.mode=averaging sync.workers=99 | at most train.global-batch-size",
        "sync.mode=averaging sync.outer-momentum=0.5 | is for sync.outer = nesterov",
        "sync.mode=averaging sync.outer=nesterov sync.outer-momentum=1 | from 0 to below 1",
        "sync.mode=averaging sync.exactness=svd | expected none | ffa",
        "sync.mode=averaging sync.exactness=fedex base.storage=as-stored | needs them in fp32",
        "sync.mode=averaging sync.exactness=fedex train.precision=bf16 | needs them in fp32"
      })
  void train_senselessSettings_areNamed(String settings, String message) {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    InProcess refused =
        kindling(1, golden.train(temp.resolve("never"), settings.strip().split(" ")));
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains(message.strip());
  }
}
