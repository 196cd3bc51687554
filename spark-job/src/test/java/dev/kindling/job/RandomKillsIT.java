package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Minutes of random kills: {@code mvn verify -Pchaos [-Dkindling.chaos.minutes=20]}. Run after run
 * on a real cluster, of exact gradients and of averaged workers whose base changes in turn,
 * disturbed every few steps until it is done; each must end with the bytes of an undisturbed run on
 * one core.
 */
@Tag("chaos")
class RandomKillsIT {
  private static final int MINUTES = Integer.getInteger("kindling.chaos.minutes", 20);
  private static final int STEPS = 300;
  private static final List<String> AVERAGING =
      List.of(
          "sync.mode=averaging",
          "sync.workers=2",
          "sync.averaging-frequency=10",
          "sync.exactness=fedex");
  private static final Path ADAPTER = Path.of("adapter/adapter_model.safetensors");

  private enum Blow {
    ONE_EXECUTOR,
    ALL_EXECUTORS,
    DRIVER,
    TERMINATE
  }

  @TempDir Path temp;
  private final Map<String, Integer> counts = new TreeMap<>();
  private final Random random = new Random(20_261_123);
  private GoldenFolder golden;

  private List<String> train(Path to, boolean averages) {
    List<String> arguments =
        golden.train(
            to,
            "train.steps=" + STEPS,
            "data.shuffle=true",
            "adapter.dropout=0.1",
            "train.micro-batch-size=1",
            "checkpoint.every-steps=11");
    arguments.addAll(averages ? AVERAGING : List.of());
    return arguments;
  }

  private List<String> onCluster(SparkCluster cluster, Path output, boolean averages) {
    List<String> arguments = new ArrayList<>(cluster.options("512m"));
    arguments.addAll(train(output, averages));
    return arguments;
  }

  private void count(String what) {
    counts.merge(what, 1, Integer::sum);
  }

  @Test
  void randomKills_forMinutes_changeNoByte() throws Exception {
    golden = GoldenFolder.copy("llama-gqa", temp);
    Path gradients = temp.resolve("gradients");
    Path averaged = temp.resolve("averaged");
    assertThat(InProcess.kindling(1, train(gradients, false)).code()).isZero();
    assertThat(InProcess.kindling(1, train(averaged, true)).code()).isZero();
    long end = System.nanoTime() + TimeUnit.MINUTES.toNanos(MINUTES);
    try (SparkCluster cluster =
        new SparkCluster(2, Files.createDirectory(temp.resolve("cluster")))) {
      for (int round = 0; System.nanoTime() < end; round++) {
        Path output = temp.resolve("out" + round);
        boolean averages = round % 2 == 1;
        Path whole = averages ? averaged : gradients;
        disturb(cluster, output, averages);
        assertThat(output.resolve(ADAPTER)).hasSameBinaryContentAs(whole.resolve(ADAPTER));
        assertThat(GoldenFolder.losses(output))
            .isEqualTo(GoldenFolder.losses(whole))
            .hasSize(STEPS);
        assertThat(InProcess.kindling(1, List.of("verify", output.toString())).code()).isZero();
        counts.merge("bytesCompared", (int) Files.size(output.resolve(ADAPTER)), Integer::sum);
        count(averages ? "runs averaged" : "runs");
      }
    }
    counts.put("minutes", MINUTES);
    System.err.println("chaos: " + new ObjectMapper().writeValueAsString(counts));
  }

  /** One run to its end, whatever happens to it. */
  private void disturb(SparkCluster cluster, Path output, boolean averages) throws Exception {
    while (true) {
      count("starts");
      try (Running run = Running.kindling(onCluster(cluster, output, averages))) {
        while (run.goesOn(output, 3 + random.nextInt(60))) {
          Blow blow = Blow.values()[random.nextInt(Blow.values().length)];
          count("blows " + blow);
          switch (blow) {
            case ONE_EXECUTOR -> counts.merge("killed", cluster.killExecutors(1), Integer::sum);
            case ALL_EXECUTORS -> counts.merge("killed", cluster.killExecutors(2), Integer::sum);
            case DRIVER -> {
              run.killDriver();
              count("killed");
            }
            case TERMINATE -> run.terminate();
          }
        }
        Launched ended = run.end();
        if (ended.code() == 0) {
          return;
        }
        // 137: killed; 10: stopped when asked. Anything else is a failure of ours.
        assertThat(ended.code()).as(ended.stderr()).isIn(10, 137);
      }
    }
  }
}
