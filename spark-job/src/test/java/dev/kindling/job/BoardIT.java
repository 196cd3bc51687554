package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.config.Methods;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Every method on the same task with the same budget: {@code mvn verify -Pboard}. Writes {@code
 * bench/results/board-<task>.md}. Runs lie in target/board, and one that is finished is not run
 * again, so that a board can be stopped and gone on with. Which methods, seeds and epochs: {@code
 * -Dkindling.board.methods=lora,olora -Dkindling.board.seeds=0,1,2 -Dkindling.board.epochs=3}.
 */
@Tag("board")
class BoardIT {
  private static final Path RUNS = Path.of("target/board").toAbsolutePath();
  private static final Path RESULTS = Path.of("../bench/results").toAbsolutePath();

  /** Steps whose mean loss is held against the target. */
  private static final int WINDOW = 10;

  /** What is learned. */
  enum TaskOf {
    /** Eight classes of WordNet's glosses: accuracy. */
    QUICKSTART("/validation/accuracy", "accuracy, %", 100, 0.9),
    /** Held-out scenes of Macbeth: perplexity. */
    MACBETH("/validation/perplexity", "perplexity", 1, 4.6);

    private final String pointer;
    private final String words;
    private final double factor;
    private final double target;

    /**
     * @param target training loss that steps are counted to
     */
    TaskOf(String pointer, String words, double factor, double target) {
      this.pointer = pointer;
      this.words = words;
      this.factor = factor;
      this.target = target;
    }

    String spelled() {
      return name().toLowerCase(Locale.ROOT);
    }

    /** What the recipe says that a method may say otherwise. */
    List<String> settings(String method) {
      boolean coded = method.equals("qlora");
      return this == MACBETH
          ? List.of("base.storage=" + (coded ? "nf4" : "fp32"))
          : List.of("adapter.target-modules=.*layer.*(query|key|value|dense)");
    }
  }

  private static List<String> words(String key, String standard) {
    return List.of(System.getProperty("kindling.board." + key, standard).split(",", -1));
  }

  /** One run, as its result and metrics tell of it. */
  private record Run(double quality, int toTarget, double seconds, JsonNode result, double bytes) {}

  @ParameterizedTest
  @EnumSource
  void board_everyMethod_isWrittenDown(TaskOf task) throws IOException {
    List<String> seeds = words("seeds", "0,1,2");
    String epochs = System.getProperty("kindling.board.epochs", "3");
    StringBuilder table = new StringBuilder(head(task, seeds, epochs));
    for (String method : words("methods", String.join(",", Methods.names()))) {
      List<Run> runs = new ArrayList<>();
      for (String seed : seeds) {
        runs.add(run(task, method, seed, epochs));
      }
      table.append(row(method, runs));
    }
    Files.writeString(RESULTS.resolve("board-" + task.spelled() + ".md"), table.toString());
  }

  private static String head(TaskOf task, List<String> seeds, String epochs) {
    return """
        # The board: %s

        `mvn verify -Pboard`: conf/%s.conf%s, %s epoch(s), seeds %s; each method as conf/methods.conf has it. Steps until
        the mean training loss of %d steps is %s; of those that do not get there a dash. Seconds of steps, of one machine
        that may have been at work besides; bytes of an average step, down and up; the fullest executor's memory.

        | method | %s, each seed | mean | steps to %s | seconds | trained | kB a step | MB |
        |---|---|---|---|---|---|---|---|
        """
        .formatted(
            task.spelled(),
            task.spelled(),
            task == TaskOf.QUICKSTART ? " with pairs on all layers of the blocks" : "",
            epochs,
            String.join(", ", seeds),
            WINDOW,
            task.target,
            task.words,
            task.target);
  }

  private static Run run(TaskOf task, String method, String seed, String epochs)
      throws IOException {
    Path output = RUNS.resolve(String.join("-", task.spelled(), method, seed, epochs));
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                "../conf/" + task.spelled() + ".conf",
                "output=" + output,
                "method=" + method,
                "train.seed=" + seed,
                "train.epochs=" + epochs));
    if (task == TaskOf.MACBETH) {
      arguments.add("base.path=../examples/tiny-llama");
    }
    arguments.addAll(task.settings(method));
    Launched launched = Launched.kindling(arguments.toArray(new String[0]));
    assertThat(launched.code()).as(method + launched.stderr()).isZero();
    JsonNode result = launched.json();
    List<Double> losses = new ArrayList<>();
    double seconds = 0;
    double bytes = 0;
    int toTarget = -1;
    for (String line : Files.readAllLines(output.resolve("metrics.jsonl"))) {
      JsonNode step = new ObjectMapper().readTree(line);
      losses.add(step.get("loss").asDouble());
      seconds += step.get("secondsCompute").asDouble() + step.get("secondsExchange").asDouble();
      bytes += step.get("bytesDown").asDouble() + step.get("bytesUp").asDouble();
      double mean =
          losses.stream()
              .skip(Math.max(0, losses.size() - WINDOW))
              .mapToDouble(l -> l)
              .average()
              .orElseThrow();
      if (toTarget < 0 && losses.size() >= WINDOW && mean <= task.target) {
        toTarget = losses.size();
      }
    }
    double quality = result.at(task.pointer).asDouble() * task.factor;
    return new Run(quality, toTarget, seconds, result, bytes / losses.size());
  }

  private static String row(String method, List<Run> runs) {
    String[] each = runs.stream().map(r -> "%.2f".formatted(r.quality)).toArray(String[]::new);
    double mean = runs.stream().mapToDouble(Run::quality).average().orElseThrow();
    String[] steps =
        runs.stream().map(r -> r.toTarget < 0 ? "–" : "" + r.toTarget).toArray(String[]::new);
    double[] seconds = runs.stream().mapToDouble(Run::seconds).sorted().toArray();
    JsonNode first = runs.get(0).result;
    return String.format(
        Locale.ROOT,
        "| `%s` | %s | %.2f | %s | %.0f | %,d | %,.0f | %,.0f |%n",
        method,
        String.join(" ", each),
        mean,
        String.join(" ", Arrays.asList(steps)),
        seconds[seconds.length / 2],
        first.get("trainables").asLong(),
        runs.get(0).bytes / 1e3,
        first.get("memoryMeasured").asDouble() / 1e6);
  }
}
