package dev.kindling.job;

import static java.nio.file.StandardOpenOption.APPEND;
import static java.nio.file.StandardOpenOption.CREATE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.config.Methods;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Every method on the same task with the same budget: {@code mvn verify -Pboard}. Each run becomes
 * a line of {@code bench/results/board-<task>.jsonl}, and all lines a table beside it. What has a
 * line is not run again, so that a board can be stopped and gone on with; what has none is run from
 * its beginning. Which methods, seeds and epochs, and on which cores: {@code
 * -Dkindling.board.methods=lora,olora -Dkindling.board.seeds=0,1,2 -Dkindling.board.quickstart=3
 * -Dkindling.board.master=local[1]}.
 */
@Tag("board")
class BoardIT {
  private static final Path RUNS = Path.of("target/board").toAbsolutePath();
  private static final Path RESULTS = Path.of("../bench/results").toAbsolutePath();

  private static final String MASTER = System.getProperty("kindling.board.master", "local[*]");

  /** Steps whose mean loss is held against the target. */
  private static final int WINDOW = 10;

  /** What is learned. */
  enum TaskOf {
    /** Eight classes of WordNet's glosses: accuracy. 201 steps an epoch. */
    QUICKSTART("/validation/accuracy", "accuracy, %", 100, 0.9, "1"),
    /** Held-out scenes of Macbeth: perplexity. 16 steps an epoch. */
    MACBETH("/validation/perplexity", "perplexity", 1, 4.6, "4");

    private final String pointer;
    private final String words;
    private final double factor;
    private final double target;
    private final String epochs;

    /**
     * @param target training loss that steps are counted to
     * @param epochs of each run, unless {@code kindling.board.<task>} says otherwise; with 0 of
     *     them a task is left out
     */
    TaskOf(String pointer, String words, double factor, double target, String epochs) {
      this.pointer = pointer;
      this.words = words;
      this.factor = factor;
      this.target = target;
      this.epochs = epochs;
    }

    String spelled() {
      return name().toLowerCase(Locale.ROOT);
    }

    int epochs() {
      return Integer.parseInt(System.getProperty("kindling.board." + spelled(), epochs));
    }

    /** What the recipe says that a method may say otherwise. */
    List<String> settings(String method) {
      boolean coded = method.equals("qlora");
      return this == MACBETH
          ? List.of("base.path=../examples/tiny-llama", "base.storage=" + (coded ? "nf4" : "fp32"))
          : List.of("adapter.target-modules=.*layer.*(query|key|value|dense)");
    }

    String head() {
      return """
          # The board: %s

          `mvn verify -Pboard`: conf/%s.conf%s, %d epoch(s); each method as conf/methods.conf has it. Steps until the mean
          training loss of %d steps is %s; of those that do not get there a dash. Seeds from 0 on. Seconds of steps, the median of the seeds, of a machine
          that may have been at work besides; bytes of an average step, down and up; the fullest executor's memory. All runs: board-%s.jsonl.

          | method | %s, each seed | mean | steps to %s | seconds | trained | kB a step | MB |
          |---|---|---|---|---|---|---|---|
          """
          .formatted(
              spelled(),
              spelled(),
              this == QUICKSTART ? " with pairs on all layers of the blocks" : "",
              epochs(),
              WINDOW,
              target,
              spelled(),
              words,
              target);
    }
  }

  /**
   * One run.
   *
   * @param quality on what was held out
   * @param stepsToTarget -1: never
   * @param seconds of all steps
   * @param trainables numbers
   * @param bytes of an average step
   * @param memory bytes of the fullest executor
   * @param master Spark's, which says how many cores
   * @param date when
   */
  private record Row(
      String method,
      String seed,
      int epochs,
      double quality,
      int stepsToTarget,
      double seconds,
      long trainables,
      double bytes,
      double memory,
      String master,
      String date) {

    boolean of(String method, String seed, int epochs) {
      return this.method.equals(method) && this.seed.equals(seed) && this.epochs == epochs;
    }
  }

  private static List<String> words(String key, String standard) {
    return List.of(System.getProperty("kindling.board." + key, standard).split(",", -1));
  }

  @ParameterizedTest
  @EnumSource
  void board_everyMethod_isWrittenDown(TaskOf task) throws IOException {
    assumeTrue(task.epochs() > 0);
    Path file = RESULTS.resolve("board-" + task.spelled() + ".jsonl");
    for (String seed : words("seeds", "0,1,2")) {
      for (String method : words("methods", String.join(",", Methods.names()))) {
        if (rows(file).stream().noneMatch(r -> r.of(method, seed, task.epochs()))) {
          String line = new ObjectMapper().writeValueAsString(run(task, method, seed)) + "\n";
          Files.writeString(file, line, CREATE, APPEND);
        }
      }
    }
    StringBuilder table = new StringBuilder(task.head());
    for (String method : Methods.names()) {
      List<Row> runs =
          rows(file).stream()
              .filter(r -> r.of(method, r.seed, task.epochs()))
              .sorted(Comparator.comparing(Row::seed))
              .toList();
      table.append(runs.isEmpty() ? "" : line(method, runs));
    }
    Files.writeString(RESULTS.resolve("board-" + task.spelled() + ".md"), table.toString());
  }

  private static List<Row> rows(Path file) throws IOException {
    List<Row> rows = new ArrayList<>();
    for (String line : Files.exists(file) ? Files.readAllLines(file) : List.<String>of()) {
      if (line.endsWith("}")) { // else it was cut off
        rows.add(new ObjectMapper().readValue(line, Row.class));
      }
    }
    return rows;
  }

  private static Row run(TaskOf task, String method, String seed) throws IOException {
    String name = String.join("-", task.spelled(), method, seed, "" + task.epochs());
    Path output = RUNS.resolve(name);
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--master",
                MASTER,
                "train",
                "../conf/" + task.spelled() + ".conf",
                "output=" + output,
                "output-mode=overwrite",
                "method=" + method,
                "train.seed=" + seed,
                "train.epochs=" + task.epochs()));
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
    return new Row(
        method,
        seed,
        task.epochs(),
        result.at(task.pointer).asDouble() * task.factor,
        toTarget,
        seconds,
        result.get("trainables").asLong(),
        bytes / losses.size(),
        result.get("memoryMeasured").asDouble(),
        MASTER,
        LocalDate.now(ZoneOffset.UTC).toString());
  }

  private static String line(String method, List<Row> runs) {
    double mean = runs.stream().mapToDouble(Row::quality).average().orElseThrow();
    double[] seconds = runs.stream().mapToDouble(Row::seconds).sorted().toArray();
    return String.format(
        Locale.ROOT,
        "| `%s` | %s | %.2f | %s | %.0f | %,d | %,.0f | %,.0f |%n",
        method,
        joined(runs, r -> String.format(Locale.ROOT, "%.2f", r.quality)),
        mean,
        joined(runs, r -> r.stepsToTarget < 0 ? "–" : "" + r.stepsToTarget),
        seconds[seconds.length / 2],
        runs.get(0).trainables,
        runs.get(0).bytes / 1e3,
        runs.get(0).memory / 1e6);
  }

  private static String joined(List<Row> runs, Function<Row, String> word) {
    return runs.stream().map(word).collect(Collectors.joining(" "));
  }
}
