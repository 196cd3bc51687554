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
 * on a real cluster, disturbed every few steps until it is done; each must end with the bytes of an
 * undisturbed run on one core.
 */
@Tag("chaos")
class RandomKillsIT {
  private static final int MINUTES = Integer.getInteger("kindling.chaos.minutes", 20);
  private static final int STEPS = 300;
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

  private List<String> train(Path to) {
    return golden.train(
        to,
        "train.steps=" + STEPS,
        "data.shuffle=true",
        "adapter.dropout=0.1",
        "train.micro-batch-size=1",
        "checkpoint.every-steps=11");
  }

  private List<String> onCluster(SparkCluster cluster, Path output) {
    List<String> arguments = new ArrayList<>(cluster.options("512m"));
    arguments.addAll(train(output));
    return arguments;
  }

  private void count(String what) {
    counts.merge(what, 1, Integer::sum);
  }

  @Test
  void randomKills_forMinutes_changeNoByte() throws Exception {
    golden = GoldenFolder.copy("llama-gqa", temp);
    Path whole = temp.resolve("whole");
    assertThat(InProcess.kindling(1, train(whole)).code()).isZero();
    long end = System.nanoTime() + TimeUnit.MINUTES.toNanos(MINUTES);
    try (SparkCluster cluster =
        new SparkCluster(2, Files.createDirectory(temp.resolve("cluster")))) {
      for (int round = 0; System.nanoTime() < end; round++) {
        Path output = temp.resolve("out" + round);
        disturb(cluster, output);
        assertThat(output.resolve(ADAPTER)).hasSameBinaryContentAs(whole.resolve(ADAPTER));
        assertThat(GoldenFolder.losses(output))
            .isEqualTo(GoldenFolder.losses(whole))
            .hasSize(STEPS);
        assertThat(InProcess.kindling(1, List.of("verify", output.toString())).code()).isZero();
        counts.merge("bytesCompared", (int) Files.size(output.resolve(ADAPTER)), Integer::sum);
        count("runs");
      }
    }
    counts.put("minutes", MINUTES);
    System.err.println("chaos: " + new ObjectMapper().writeValueAsString(counts));
  }

  /** One run to its end, whatever happens to it. */
  private void disturb(SparkCluster cluster, Path output) throws Exception {
    while (true) {
      count("starts");
      try (Running run = Running.kindling(onCluster(cluster, output))) {
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
