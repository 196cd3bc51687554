package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.job.cli.InProcess;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What goes wrong on a real cluster: processes are killed, not asked. Whatever happens, the adapter
 * is the one of an undisturbed run on one core, byte for byte.
 */
class ChaosIT {
  private static final Path ADAPTER = Path.of("adapter/adapter_model.safetensors");

  @TempDir Path temp;
  private GoldenFolder golden;
  private SparkCluster cluster;
  private Path whole;
  private Path output;

  @BeforeEach
  void open() throws Exception {
    golden = GoldenFolder.copy("llama-gqa", temp);
    whole = temp.resolve("whole");
    output = temp.resolve("output");
    InProcess undisturbed = InProcess.kindling(1, train(whole));
    assertThat(undisturbed.code()).as(undisturbed.stdout()).isZero();
    cluster = new SparkCluster(2, Files.createDirectory(temp.resolve("cluster")));
  }

  @AfterEach
  void close() {
    cluster.close();
  }

  private List<String> train(Path to) {
    return golden.train(
        to,
        "train.steps=60",
        "data.shuffle=true",
        "adapter.dropout=0.1",
        "train.micro-batch-size=1",
        "checkpoint.every-steps=7");
  }

  private Running onCluster() {
    List<String> arguments = new ArrayList<>(cluster.options("512m"));
    arguments.addAll(train(output));
    return Running.kindling(arguments);
  }

  private void assertSame(Launched run) {
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(output.resolve(ADAPTER)).hasSameBinaryContentAs(whole.resolve(ADAPTER));
    assertThat(GoldenFolder.losses(output)).isEqualTo(GoldenFolder.losses(whole)).hasSize(60);
    InProcess verified = InProcess.kindling(1, List.of("verify", output.toString()));
    assertThat(verified.code()).as(verified.stdout()).isZero();
  }

  /** Spark computes its part of the step again elsewhere, and the next ones on a new executor. */
  @Test
  void executorKilled_inMidRun_costsTimeOnly() throws Exception {
    try (Running run = onCluster()) {
      run.awaitSteps(output, 10);
      assertThat(cluster.killExecutors(1)).isEqualTo(1);
      assertSame(run.end());
    }
  }

  @Test
  void allExecutorsKilled_inMidRun_costTimeOnly() throws Exception {
    try (Running run = onCluster()) {
      run.awaitSteps(output, 10);
      assertThat(cluster.killExecutors(2)).isEqualTo(2);
      assertSame(run.end());
    }
  }

  @Test
  void driverKilled_sameCommandAgain_goesOn() throws Exception {
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
