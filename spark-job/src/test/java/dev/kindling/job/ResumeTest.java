package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.job.cli.InProcess;
import dev.kindling.job.resume.Checkpoints;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A run that is stopped and goes on is the run that was not. */
class ResumeTest {
  private static final String[] SETTINGS = {
    "train.steps=9",
    "data.shuffle=true",
    "adapter.dropout=0.2",
    "optimizer.schedule=cosine",
    "train.micro-batch-size=2",
    "checkpoint.every-steps=2"
  };

  @TempDir Path temp;
  private GoldenFolder golden;
  private Path whole;
  private Path output;

  @BeforeEach
  void open() {
    System.setProperty("spark.extraListeners", StopAtStep.class.getName());
    golden = GoldenFolder.copy("bert", temp);
    whole = temp.resolve("whole");
    output = temp.resolve("output");
  }

  @AfterEach
  void close() {
    System.clearProperty("spark.extraListeners");
  }

  private List<String> train(Path to, String... more) {
    List<String> arguments = new ArrayList<>(List.of(SETTINGS));
    arguments.add("data.validation=" + golden.path("data.jsonl"));
    arguments.addAll(List.of(more));
    return golden.train(to, arguments.toArray(new String[0]));
  }

  private static Path adapter(Path folder) {
    return folder.resolve("adapter/adapter_model.safetensors");
  }

  /** What a run says of its steps, but for times and tasks. */
  private static List<String> steps(Path folder) throws IOException {
    List<String> lines = new ArrayList<>();
    for (String line : Files.readAllLines(folder.resolve("metrics.jsonl"))) {
      ObjectNode step = (ObjectNode) new ObjectMapper().readTree(line);
      step.remove(List.of("tokensPerSecond", "secondsCompute", "secondsExchange"));
      step.remove(List.of("bytesUp", "bytesExact")); // so much from each of the cores
      lines.add(step.toString());
    }
    return lines;
  }

  private static JsonNode manifest(Path folder) throws IOException {
    return new ObjectMapper().readTree(folder.resolve("_SUCCESS").toFile());
  }

  private void assertSame() throws IOException {
    assertThat(adapter(output)).hasSameBinaryContentAs(adapter(whole));
    assertThat(steps(output)).isEqualTo(steps(whole)).hasSize(9);
    for (String key : List.of("before", "validation", "trainLoss", "tokens")) {
      assertThat(manifest(output).at("/result/" + key))
          .isEqualTo(manifest(whole).at("/result/" + key));
    }
    assertThat(output.resolve("_RUNNING")).doesNotExist();
    assertThat(kindling(1, List.of("verify", output.toString())).code()).isZero();
  }

  /** Asked to stop once or twice, at a checkpoint or between; on other cores each time. */
  @ParameterizedTest
  @CsvSource({"1,5,adamw", "4,6,adamw", "3,8,sgd"})
  void train_stoppedTwice_givesTheBytesOfAnUndisturbedRun(long first, long second, String optimizer)
      throws IOException {
    String name = "optimizer.name=" + optimizer;
    assertThat(kindling(1, train(whole, name)).code()).isZero();
    for (long step : new long[] {first, second}) {
      InProcess stopped = kindling(2, train(output, name), StopAtStep.at(step));
      assertThat(stopped.code()).as(stopped.stdout()).isEqualTo(10);
      assertThat(stopped.messages()).contains("run the same command again");
      assertThat(output.resolve("_SUCCESS")).doesNotExist();
    }
    InProcess verified = kindling(1, List.of("verify", output.toString()));
    assertThat(verified.code()).as(verified.stdout()).isZero();
    assertThat(verified.json().get("finished").asBoolean()).isFalse();
    InProcess last = kindling(3, train(output, name));
    assertThat(last.code()).as(last.stdout()).isZero();
    assertSame();
  }

  /** The newest is cut short or not what was written: the one before is taken, and all is well. */
  @ParameterizedTest
  @CsvSource({"state.safetensors,true", "state.safetensors,false", "checkpoint.json,true"})
  void train_newestCheckpointDamaged_goesOnFromTheOneBefore(String file, boolean cut)
      throws IOException {
    assertThat(kindling(1, train(whole)).code()).isZero();
    assertThat(kindling(2, train(output), StopAtStep.at(7)).code()).isEqualTo(10);
    Path newest = checkpoints().get(0);
    byte[] bytes = Files.readAllBytes(newest.resolve(file));
    if (cut) {
      bytes = java.util.Arrays.copyOf(bytes, bytes.length / 2);
    } else {
      bytes[bytes.length - 3] ^= 1;
    }
    Files.write(newest.resolve(file), bytes);
    assertThat(kindling(2, train(output)).code()).isZero();
    assertSame();
  }

  /** Times are not the same twice: the run keeps those by which its plans were chosen. */
  @Test
  void train_plansWereMeasured_areNotMeasuredAgain() throws IOException {
    String measured = "plan.chooser=measured";
    assertThat(kindling(2, train(output, measured), StopAtStep.at(4)).code()).isEqualTo(10);
    JsonNode first =
        new ObjectMapper().readTree(checkpoints().get(0).resolve("checkpoint.json").toFile());
    Set<Double> seconds = new TreeSet<>();
    first.get("plans").forEach(timed -> seconds.add(timed.get("seconds").asDouble()));
    assertThat(seconds).isNotEmpty();
    assertThat(kindling(1, train(output, measured)).code()).isZero();
    assertThat(manifest(output).get("plans")).isNotEmpty();
    for (JsonNode layer : manifest(output).get("plans")) {
      assertThat(layer.get("candidates")).isNotEmpty();
      for (JsonNode one : layer.get("candidates")) {
        assertThat(seconds).contains(one.get("measuredSeconds").asDouble());
      }
    }
  }

  /** The newest first. */
  private List<Path> checkpoints() throws IOException {
    try (Stream<Path> all = Files.list(output.resolve("checkpoints"))) {
      return all.filter(p -> p.getFileName().toString().startsWith("step-"))
          .sorted(java.util.Comparator.reverseOrder())
          .toList();
    }
  }

  @Test
  void train_anyRun_keepsSoManyCheckpoints() throws IOException {
    assertThat(kindling(1, train(output, "checkpoint.keep=2")).code()).isZero();
    assertThat(checkpoints())
        .extracting(p -> p.getFileName().toString())
        .containsExactly("step-000000000009", "step-000000000008");
  }

  /**
   * Killed as it began, before there was anything in it: nothing is lost, so nothing is refused.
   */
  @ParameterizedTest
  @ValueSource(strings = {"", "{\"run\""})
  void train_runningFileCutShort_beginsAnew(String written) throws IOException {
    assertThat(kindling(1, train(whole)).code()).isZero();
    Files.createDirectories(output);
    Files.writeString(output.resolve("_RUNNING"), written);
    assertThat(kindling(2, train(output, "output-mode=require-resume")).code()).isEqualTo(2);
    assertThat(kindling(2, train(output)).code()).isZero();
    assertSame();
  }

  /** A later checkpoint that is damaged must not outlive the one that is written instead of it. */
  @Test
  void train_damagedCheckpointIsLater_doesNotCostTheNextOne() throws IOException {
    assertThat(kindling(1, train(whole)).code()).isZero();
    assertThat(kindling(2, train(output), StopAtStep.at(3)).code()).isEqualTo(10);
    Path later = Files.createDirectories(output.resolve("checkpoints/step-000000000099"));
    Files.writeString(later.resolve("checkpoint.json"), "{}");
    String keep = "checkpoint.keep=1";
    assertThat(kindling(2, train(output, keep), StopAtStep.at(5)).code()).isEqualTo(10);
    assertThat(later).doesNotExist();
    assertThat(checkpoints()).hasSize(1);
    assertThat(kindling(2, train(output, keep)).code()).isZero();
    assertSame();
  }

  /** Of a run that is replaced, nothing remains that could be taken for the new one's. */
  @Test
  void train_overwritten_leavesNothingOfTheOldRun() throws IOException {
    assertThat(kindling(1, train(output)).code()).isZero();
    String[] other = {"train.seed=5", "output-mode=overwrite"};
    assertThat(kindling(2, train(output, other), StopAtStep.at(3)).code()).isEqualTo(10);
    assertThat(output.resolve("_SUCCESS")).doesNotExist();
    assertThat(output.resolve("adapter")).doesNotExist();
    assertThat(kindling(2, train(output, "train.seed=5")).code()).isZero();
    assertThat(kindling(1, train(whole, "train.seed=5")).code()).isZero();
    assertSame();
  }

  @Test
  void train_otherConfiguration_isRefusedByTheKeysThatDiffer() throws IOException {
    assertThat(kindling(2, train(output), StopAtStep.at(3)).code()).isEqualTo(10);
    InProcess other = kindling(2, train(output, "optimizer.learning-rate=0.5"));
    assertThat(other.code()).isEqualTo(2);
    assertThat(other.messages()).contains("was begun by another", "optimizer.learning-rate");
  }

  @Test
  void train_dataHasChanged_isRefused() throws IOException {
    assertThat(kindling(2, train(output), StopAtStep.at(3)).code()).isEqualTo(10);
    Path data = Path.of(golden.path("data.jsonl"));
    List<String> rows = new ArrayList<>(Files.readAllLines(data));
    rows.add(rows.remove(0));
    Files.write(data, rows);
    InProcess other = kindling(2, train(output));
    assertThat(other.code()).as(other.stdout()).isEqualTo(2);
    assertThat(other.messages()).contains("data.train", "other inputs");
  }

  @Test
  void outputModes_doWhatTheySay() throws IOException {
    InProcess nothing = kindling(2, train(output, "output-mode=require-resume"));
    assertThat(nothing.code()).isEqualTo(2);
    assertThat(nothing.messages()).contains("nothing to go on from");
    assertThat(kindling(2, train(output), StopAtStep.at(3)).code()).isEqualTo(10);
    InProcess exists = kindling(2, train(output, "output-mode=fail-if-exists"));
    assertThat(exists.code()).isEqualTo(2);
    assertThat(exists.messages()).contains("fail-if-exists");
    assertThat(kindling(2, train(output, "output-mode=require-resume")).code()).isZero();
    InProcess done = kindling(2, train(output, "output-mode=require-resume"));
    assertThat(done.code()).isZero();
  }

  @Test
  void verify_changedFile_isNamed() throws IOException {
    assertThat(kindling(1, train(output)).code()).isZero();
    Path metrics = output.resolve("metrics.jsonl");
    List<String> lines = new ArrayList<>(Files.readAllLines(metrics));
    lines.set(4, lines.get(3));
    Files.write(metrics, lines);
    InProcess found = kindling(1, List.of("verify", output.toString()));
    assertThat(found.code()).isEqualTo(3);
    assertThat(found.messages()).contains("metrics.jsonl has changed", "line 5", "step 4");
    InProcess none = kindling(1, List.of("verify", "output=" + temp.resolve("none")));
    assertThat(none.code()).isEqualTo(2);
  }

  /** The last good checkpoint is kept; with the rate put right it would be another run. */
  @Test
  void train_diverges_keepsTheLastGoodCheckpoint() throws IOException {
    InProcess diverged =
        kindling(
            1,
            train(
                output,
                "optimizer.schedule=linear",
                "optimizer.warmup-steps=7",
                "optimizer.name=sgd",
                "optimizer.learning-rate=1e22"));
    assertThat(diverged.code()).as(diverged.stdout()).isEqualTo(5);
    InProcess verified = kindling(1, List.of("verify", output.toString()));
    assertThat(verified.code()).as(verified.stdout()).isZero();
    assertThat(verified.json().get("steps").asInt()).isPositive();
  }

  /** A checkpoint as format 1 was first written: every later version must read it. */
  @Test
  void checkpoint_ofFormatOne_isRead() throws IOException {
    Path folder = Files.createDirectories(temp.resolve("old"));
    for (String file :
        List.of(
            "step-000000000002/state.safetensors",
            "step-000000000002/checkpoint.json",
            "history/step-000000000002.jsonl")) {
      Path to = folder.resolve(file);
      Files.createDirectories(to.getParent());
      try (var in = getClass().getResourceAsStream("/checkpoint-format-1/" + file)) {
        Files.write(to, in.readAllBytes());
      }
    }
    var saved =
        new Checkpoints(
                FileSystem.getLocal(new Configuration()).getRaw(),
                new org.apache.hadoop.fs.Path(folder.toString()),
                1)
            .newest(
                damaged -> {
                  throw new AssertionError(damaged);
                })
            .orElseThrow();
    assertThat(saved.checkpoint().step()).isEqualTo(2);
    assertThat(saved.checkpoint().examples()).isEqualTo(12);
    assertThat(saved.checkpoint().config()).containsEntry("train.seed", "0");
    assertThat(saved.tensors())
        .containsOnlyKeys("trainables", "optimizer.first", "optimizer.second");
    assertThat(saved.history()).hasSize(2);
  }
}
