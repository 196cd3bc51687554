package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What goes wrong on a real cluster: processes are killed, not asked. Whatever happens, and
 * whatever the method, the adapter is the one of an undisturbed run on one core, byte for byte.
 */
class ChaosIT {
  private static final Path ADAPTER = Path.of("adapter/adapter_model.safetensors");

  /** Few, for every build runs this suite. */
  private static final int STEPS = 35;

  @TempDir static Path shared;
  private static SparkCluster cluster;

  @TempDir Path temp;
  private GoldenFolder golden;
  private Path whole;
  private Path output;

  /** Of the run that is disturbed, and of the one that is not. */
  private final List<String> settings = new ArrayList<>();

  @BeforeAll
  static void open() throws Exception {
    cluster = new SparkCluster(2, shared);
  }

  @AfterAll
  static void close() {
    if (cluster != null) { // it may not have come up
      cluster.close();
    }
  }

  @BeforeEach
  void prepare() throws Exception {
    cluster.refill(2);
    golden = GoldenFolder.copy("llama-gqa", temp);
    whole = temp.resolve("whole");
    output = temp.resolve("output");
  }

  private List<String> train(Path to) {
    List<String> arguments =
        golden.train(
            to,
            "train.steps=" + STEPS,
            "data.shuffle=true",
            "adapter.dropout=0.1",
            "train.micro-batch-size=1",
            "checkpoint.every-steps=7");
    arguments.addAll(settings);
    return arguments;
  }

  /** Has the run, of these settings, go through once by itself. */
  private void undisturbed(String... more) {
    settings.addAll(List.of(more));
    InProcess undisturbed = InProcess.kindling(1, train(whole));
    assertThat(undisturbed.code()).as(undisturbed.stdout()).isZero();
  }

  private Running onCluster() {
    List<String> arguments = new ArrayList<>(cluster.options("512m"));
    arguments.addAll(train(output));
    return Running.kindling(arguments);
  }

  private void assertSame(Launched run) {
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(output.resolve(ADAPTER)).hasSameBinaryContentAs(whole.resolve(ADAPTER));
    assertThat(GoldenFolder.losses(output)).isEqualTo(GoldenFolder.losses(whole)).hasSize(STEPS);
    InProcess verified = InProcess.kindling(1, List.of("verify", output.toString()));
    assertThat(verified.code()).as(verified.stdout()).isZero();
  }

  /**
   * Spark computes its part of the step again elsewhere, and the next ones on a new executor. With
   * a sum for each host the dead one may have kept something for the second stage; of a base that
   * has been changed the new one has all changes.
   */
  @ParameterizedTest
  @CsvSource({"task,relora", "host,lora"})
  void executorKilled_inMidRun_costsTimeOnly(String sums, String method) throws Exception {
    undisturbed("sync.sums=" + sums, "method=" + method);
    try (Running run = onCluster()) {
      run.awaitSteps(output, 10);
      assertThat(cluster.killExecutors(1)).isEqualTo(1);
      Launched done = run.end();
      assertSame(done);
      JsonNode bytes = done.json();
      double up = bytes.get("bytesUp").asDouble() / bytes.get("bytesDown").asDouble();
      if (sums.equals("host")) { // 8 for 4 to each executor, of which there is one or two
        assertThat(up).isBetween(0.7, 1.4);
      } else { // 8 of each task
        assertThat(up).isGreaterThan(1.5);
      }
    }
  }

  /** With them goes what they knew of the step's rank. */
  @Test
  void allExecutorsKilled_inMidRun_costTimeOnly() throws Exception {
    undisturbed("method=dylora");
    try (Running run = onCluster()) {
      run.awaitSteps(output, 10);
      assertThat(cluster.killExecutors(2)).isEqualTo(2);
      assertSame(run.end());
    }
  }

  /** A machine is gone with all that it held, chosen rows too; the other does it all. */
  @Test
  void workerKilled_inMidRun_costsTimeOnly() throws Exception {
    undisturbed("method=ce-lora", "sampling.every-steps=4");
    try (Running run = onCluster()) {
      run.awaitSteps(output, 10);
      cluster.killWorker();
      assertSame(run.end());
    }
  }

  /** A machine joins and takes its part, then the first one leaves. */
  @Test
  void executorsJoinAndLeave_inMidRun_giveTheSameBytes() throws Exception {
    undisturbed("method=cola");
    cluster.killWorker();
    List<String> arguments = new ArrayList<>(cluster.options("512m"));
    for (String setting :
        List.of(
            "spark.scheduler.minRegisteredResourcesRatio=0",
            "spark.dynamicAllocation.enabled=true",
            "spark.dynamicAllocation.shuffleTracking.enabled=true",
            "spark.dynamicAllocation.schedulerBacklogTimeout=1s",
            "spark.dynamicAllocation.minExecutors=1",
            "spark.dynamicAllocation.maxExecutors=2",
            "spark.default.parallelism=2")) {
      arguments.addAll(List.of("--conf", setting));
    }
    arguments.addAll(train(output));
    try (Running run = Running.kindling(arguments)) {
      run.awaitSteps(output, 5);
      cluster.addWorker();
      run.awaitSteps(output, 25);
      cluster.killWorker();
      assertSame(run.end());
    }
    JsonNode executors =
        new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile()).get("executors");
    assertThat(executors.size()).isGreaterThanOrEqualTo(2);
  }

  /**
   * Workers that take steps of their own begin again where they began, with the same numbers; an
   * executor that comes later changes its base as the others have theirs.
   */
  @Test
  void executorKilled_whileAveraging_costsTimeOnly() throws Exception {
    undisturbed(
        "sync.mode=averaging",
        "sync.workers=2",
        "sync.averaging-frequency=3",
        "sync.exactness=fedex");
    try (Running run = onCluster()) {
      run.awaitSteps(output, 10);
      assertThat(cluster.killExecutors(1)).isEqualTo(1);
      Launched done = run.end();
      assertThat(done.code()).as(done.stderr()).isZero();
    }
    assertThat(output.resolve(ADAPTER)).hasSameBinaryContentAs(whole.resolve(ADAPTER));
    assertThat(GoldenFolder.losses(output)).isEqualTo(GoldenFolder.losses(whole));
  }

  @Test
  void driverKilled_sameCommandAgain_goesOn() throws Exception {
    undisturbed("method=qlora");
    try (Running run = onCluster()) {
      run.awaitSteps(output, 20);
      run.killDriver();
      assertThat(run.end().code()).isNotZero();
    }
    assertThat(output.resolve("_SUCCESS")).doesNotExist();
    try (Running again = onCluster()) {
      Launched done = again.end();
      assertThat(done.stderr()).contains("going on after step");
      assertSame(done);
    }
  }

  @Test
  void driverTerminated_keepsWhatItHasAndEndsWithTen() throws Exception {
    undisturbed();
    try (Running run = onCluster()) {
      run.awaitSteps(output, 10);
      run.terminate();
      Launched stopped = run.end();
      assertThat(stopped.code()).as(stopped.stderr()).isEqualTo(10);
      assertThat(stopped.json().at("/error/kind").asText()).isEqualTo("preempted");
    }
    assertThat(output.resolve("_SUCCESS")).doesNotExist();
    try (Running again = onCluster()) {
      assertSame(again.end());
    }
  }
}
