package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.data.EpochOrder;
import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole runs on an embedded Spark: golden trajectories, any cut of the data, the result folder. */
class FineTuneJobTest {
  @TempDir Path temp;
  private GoldenFolder bert;
  private Path output;

  @BeforeEach
  void copy() {
    bert = GoldenFolder.copy("bert", temp);
    output = temp.resolve("out");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
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
        "gpt2-dora",
        "llama-loraplus"
      })
  void train_goldenCase_followsPyTorchAndEvaluatesTheSame(String name) throws IOException {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    String data = golden.path("data.jsonl");
    InProcess run = kindling(2, golden.train(output, "data.validation=" + data));
    assertThat(run.code()).as(run.stdout()).isZero();
    assertClose(GoldenFolder.losses(output), golden.expectedLosses(), 1e-4);
    assertThat(golden.shareOff(output)).isBetween(0.0, 0.001);
    JsonNode result = run.json();
    double expected = golden.settings().at("/expected/eval.loss").asDouble();
    assertThat(result.at("/before/loss").asDouble()).isCloseTo(expected, offset(1e-5 * expected));
    assertThat(result.at("/steps").asInt()).isEqualTo(6);

    InProcess again =
        kindling(
            "evaluate",
            "base.path=" + golden.folder(),
            "adapter.init-from=" + output.resolve("adapter"),
            "data.validation=" + data);
    assertThat(again.json().at("/loss").asDouble())
        .isCloseTo(result.at("/validation/loss").asDouble(), offset(1e-6));
    boolean predictsTokens = !golden.settings().at("/config").has("id2label");
    assertThat(again.json().at("/perplexity").isNull()).isEqualTo(!predictsTokens);
    assertThat(again.json().at("/accuracy").isNull()).isEqualTo(predictsTokens);
    assertThat(again.json().at("/targets").asLong())
        .isEqualTo(golden.settings().at("/expected/eval.targets").asLong());
  }

  /** Without an adapter a language model is what it was published as. */
  @Test
  void evaluate_decoderAlone_needsNothingElse() {
    GoldenFolder gpt2 = GoldenFolder.copy("gpt2", temp);
    InProcess run =
        kindling(
            "evaluate", "base.path=" + gpt2.folder(), "data.validation=" + gpt2.path("data.jsonl"));
    assertThat(run.code()).as(run.stdout()).isZero();
    double loss = run.json().at("/loss").asDouble();
    assertThat(run.json().at("/perplexity").asDouble()).isCloseTo(Math.exp(loss), offset(1e-9));
    assertThat(loss).isBetween(3.0, 8.0); // random weights over 61 tokens: about ln 61 and more
  }

  /** Micro-batch, cores and files decide who computes what, not what comes out. */
  @ParameterizedTest
  @CsvSource({"1,1,1", "2,2,1", "5,3,1", "2,3,2", "5,1,2", "1,2,3"})
  void train_anyMicroBatchCoresAndFiles_hasTheSameLosses(int micro, int cores, int files)
      throws IOException {
    List<String> rows = Files.readAllLines(bert.folder().resolve("data.jsonl"));
    Path folder = Files.createDirectory(temp.resolve("rows"));
    for (int f = 0; f < files; f++) {
      Files.write(
          folder.resolve("part-" + f + ".jsonl"),
          rows.subList(f * rows.size() / files, (f + 1) * rows.size() / files));
    }
    InProcess run =
        kindling(
            cores, bert.train(output, "data.train=" + folder, "train.micro-batch-size=" + micro));
    assertThat(run.code()).as(run.stdout()).isZero();
    assertClose(GoldenFolder.losses(output), bert.expectedLosses(), 1e-5);
  }

  /** Batches straddle epochs, each in an order of its own, exactly as EpochOrder says. */
  @Test
  void train_shuffledOverSeveralEpochs_followsTheOrderOfTheStream() throws IOException {
    InProcess run =
        kindling(
            2,
            bert.train(
                output,
                "data.shuffle=true",
                "train.seed=5",
                "train.steps=7",
                "train.global-batch-size=5",
                "optimizer.learning-rate=1e-30",
                "optimizer.weight-decay=0"));
    assertThat(run.code()).as(run.stdout()).isZero();
    // Nothing is learned, so a step's loss is the mean over its rows' own losses.
    List<Double> alone = new ArrayList<>();
    for (String row : Files.readAllLines(bert.folder().resolve("data.jsonl"))) {
      Path one = Files.writeString(temp.resolve("one.jsonl"), row + "\n");
      InProcess evaluated =
          kindling(
              "evaluate",
              "base.path=" + bert.folder(),
              "adapter.init-from=" + bert.path("adapter"),
              "data.validation=" + one);
      alone.add(evaluated.json().at("/loss").asDouble());
    }
    EpochOrder order = new EpochOrder(alone.size(), true, 5);
    List<Double> expected = new ArrayList<>();
    for (int step = 0; step < 7; step++) {
      double sum = 0;
      for (int j = 0; j < 5; j++) {
        sum += alone.get((int) order.exampleAt(step * 5 + j));
      }
      expected.add(sum / 5);
    }
    assertClose(GoldenFolder.losses(output), expected, 1e-5);
  }

  @Test
  void train_epochs_makesCeilOfExamplesByBatchSteps() {
    List<String> arguments = new ArrayList<>(bert.train(output, "train.epochs=1.5"));
    arguments.removeIf(a -> a.startsWith("train.steps"));
    arguments.add("train.global-batch-size=5");
    assertThat(kindling(2, arguments).json().at("/steps").asInt()).isEqualTo(4); // ⌈1.5·12/5⌉
  }

  @Test
  void resultFolder_finishedRun_hasAManifestThatMatchesItsFiles() throws IOException {
    assertThat(kindling(2, bert.train(output)).code()).isZero();
    JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
    List<String> listed = new ArrayList<>();
    manifest
        .get("files")
        .fields()
        .forEachRemaining(
            file -> {
              listed.add(file.getKey());
              assertThat(HfFolder.sha256(output.resolve(file.getKey())))
                  .isEqualTo(file.getValue().asText());
            });
    assertThat(listed)
        .containsExactlyInAnyOrder(
            "adapter/adapter_config.json",
            "adapter/adapter_model.safetensors",
            "adapter/kindling.json",
            "config.resolved.conf",
            "metrics.jsonl");
    assertThat(manifest.at("/executors/driver/weightLoads").asInt()).isPositive();
    assertThat(manifest.at("/baseSha256").asText()).hasSize(64);
    assertThat(manifest.at("/versions/serializer").asText()).isEqualTo("KryoSerializer");
    assertThat(manifest.at("/adapter/r").asInt()).isEqualTo(4);
    JsonNode line = lastStep(output);
    List<String> keys = new ArrayList<>();
    line.fieldNames().forEachRemaining(keys::add);
    assertThat(keys)
        .containsExactly(
            "step",
            "ledger",
            "loss",
            "learningRate",
            "gradNorm",
            "tokens",
            "padding",
            "tokensPerSecond",
            "bytesDown",
            "bytesUp",
            "bytesExact",
            "secondsCompute",
            "secondsExchange");
    // 4 bytes down for each trainable; up 8 and a few for each of the two tasks or one.
    int trainables = line.get("bytesDown").asInt() / 4;
    assertThat(line.get("bytesUp").asInt()).isBetween(8 * trainables, 17 * trainables);
    assertThat(line.get("bytesExact").asInt()).isIn(12 * trainables, 20 * trainables);
  }

  private static JsonNode lastStep(Path output) throws IOException {
    List<String> lines = Files.readAllLines(output.resolve("metrics.jsonl"));
    return new ObjectMapper().readTree(lines.get(lines.size() - 1));
  }

  /** Eight bytes fewer for each number of A; down goes all of it. */
  @Test
  void train_bAlone_sendsNoGradientOfA() throws IOException {
    InProcess both = kindling(1, bert.train(output));
    Path other = output.resolveSibling("b-alone");
    InProcess alone = kindling(1, bert.train(other, "adapter.train=b"));
    assertThat(both.code()).isZero();
    assertThat(alone.code()).isZero();
    JsonNode of = lastStep(output);
    JsonNode ofB = lastStep(other);
    assertThat(ofB.get("bytesDown")).isEqualTo(of.get("bytesDown"));
    long pairs = of.get("bytesUp").asLong() - ofB.get("bytesUp").asLong();
    assertThat(pairs).isPositive().isEqualTo(8L * numbersOfA(other));
  }

  private static long numbersOfA(Path output) {
    return Safetensors.open(output.resolve("adapter/adapter_model.safetensors")).entrySet().stream()
        .filter(tensor -> tensor.getKey().contains("lora_A"))
        .mapToLong(tensor -> tensor.getValue().elements())
        .sum();
  }

  @Test
  void train_sameConfigurationAgain_isAlreadyDoneAndTouchesNothing() throws IOException {
    InProcess first = kindling(2, bert.train(output));
    Object before = Files.getLastModifiedTime(output.resolve("_SUCCESS"));
    InProcess second = kindling(2, bert.train(output));
    assertThat(second.code()).isZero();
    assertThat(second.json()).isEqualTo(first.json());
    assertThat((Object) Files.getLastModifiedTime(output.resolve("_SUCCESS"))).isEqualTo(before);

    InProcess other = kindling(2, bert.train(output, "train.seed=7", "adapter.dropout=0.1"));
    assertThat(other.code()).isEqualTo(2);
    assertThat(other.messages()).contains("train.seed (0 there, 7 here)", "adapter.dropout");

    InProcess replaced = kindling(2, bert.train(output, "train.seed=7", "output-mode=overwrite"));
    assertThat(replaced.code()).isZero();
  }

  /** A failed run must not cost the result that it was to replace. */
  @Test
  void train_overwriteThatFailsOnInput_leavesTheOldResult() throws IOException {
    assertThat(kindling(2, bert.train(output)).code()).isZero();
    byte[] manifest = Files.readAllBytes(output.resolve("_SUCCESS"));
    Path bad = Files.writeString(temp.resolve("bad.jsonl"), "{\"label\": 0}\n");
    InProcess failed =
        kindling(2, bert.train(output, "data.train=" + bad, "output-mode=overwrite"));
    assertThat(failed.code()).isEqualTo(3);
    assertThat(output.resolve("_SUCCESS")).hasBinaryContent(manifest);
    assertThat(output.resolve("adapter/adapter_model.safetensors")).exists();
  }

  @Test
  void train_manifestCutShort_isFinishedFromTheLastCheckpoint() throws IOException {
    assertThat(kindling(2, bert.train(output)).code()).isZero();
    byte[] manifest = Files.readAllBytes(output.resolve("_SUCCESS"));
    byte[] adapter = Files.readAllBytes(output.resolve("adapter/adapter_model.safetensors"));
    byte[] metrics = Files.readAllBytes(output.resolve("metrics.jsonl"));
    Files.write(output.resolve("_SUCCESS"), Arrays.copyOf(manifest, manifest.length / 2));
    assertThat(kindling(2, bert.train(output)).code()).isZero();
    assertThat(output.resolve("adapter/adapter_model.safetensors")).hasBinaryContent(adapter);
    assertThat(output.resolve("metrics.jsonl")).hasBinaryContent(metrics);
  }

  @Test
  void train_absurdLearningRate_endsAsDiverged() {
    InProcess run = kindling(2, bert.train(output, "optimizer.learning-rate=1e38"));
    assertThat(run.code()).as(run.stdout()).isEqualTo(5);
    assertThat(run.messages()).contains("step 2", "not finite");
    assertThat(output.resolve("_SUCCESS")).doesNotExist();
  }

  /** The last step has no next one whose loss would tell. */
  @Test
  void train_divergesInItsLastStep_isNotDone() {
    InProcess run =
        kindling(
            2,
            bert.train(
                output,
                "train.steps=1",
                "optimizer.warmup-steps=0",
                "optimizer.name=sgd",
                "optimizer.learning-rate=1e300"));
    assertThat(run.code()).as(run.stdout()).isEqualTo(5);
    assertThat(output.resolve("_SUCCESS")).doesNotExist();
  }

  /** A folder's dropout is trained with, unless the user sets another. */
  @Test
  void train_adapterWithDropout_usesItUnlessToldOtherwise() throws IOException {
    Path config = bert.folder().resolve("adapter/adapter_config.json");
    Files.writeString(
        config, Files.readString(config).replace("\"lora_dropout\": 0.0", "\"lora_dropout\": 0.5"));
    assertThat(kindling(2, bert.train(output)).code()).isZero();
    assertThat(GoldenFolder.losses(output).get(0))
        .isNotCloseTo(bert.expectedLosses().get(0), offset(1e-3));
    Path other = temp.resolve("other");
    assertThat(kindling(2, bert.train(other, "adapter.dropout=0")).code()).isZero();
    assertClose(GoldenFolder.losses(other), bert.expectedLosses(), 1e-4);
  }

  @Test
  void train_unfinishedOutput_isRefusedUnlessOverwritten() throws IOException {
    Files.createDirectories(output);
    Files.writeString(output.resolve("metrics.jsonl"), "{}\n");
    InProcess refused = kindling(2, bert.train(output));
    assertThat(refused.code()).isEqualTo(2);
    assertThat(refused.messages()).contains("exists but is not finished");
    assertThat(output.resolve("metrics.jsonl")).hasContent("{}");
    assertThat(kindling(2, bert.train(output, "output-mode=overwrite")).code()).isZero();
  }

  private static void assertClose(List<Double> found, List<Double> expected, double tolerance) {
    assertThat(found).hasSameSizeAs(expected);
    for (int i = 0; i < found.size(); i++) {
      assertThat(found.get(i)).as("step %d", i + 1).isCloseTo(expected.get(i), offset(tolerance));
    }
  }
}
