package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * One DyLoRA run beside a LoRA run for each of its ranks (Valipour et al., arXiv:2210.07558): time,
 * and accuracy at each rank, on the quickstart. {@code mvn verify -Pboard -Dit.test=RanksApartIT};
 * epochs by {@code -Dkindling.board.epochs}. Prints rows for bench/results/dylora.md.
 */
@Tag("board")
class RanksApartIT {
  private static final Path RUNS = Path.of("target/board").toAbsolutePath();
  private static final int MOST = 8;

  private static JsonNode train(String method, int rank) {
    String epochs = System.getProperty("kindling.board.epochs", "3");
    Path output = RUNS.resolve(String.join("-", "ranks", method, "" + rank, epochs));
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                "../conf/quickstart.conf",
                "output=" + output,
                "method=" + method,
                "adapter.r=" + rank,
                "adapter.alpha=" + 2 * rank,
                "train.epochs=" + epochs));
    Launched run = Launched.kindling(arguments.toArray(new String[0]));
    assertThat(run.code()).as(run.stderr()).isZero();
    return run.json();
  }

  private static double own(JsonNode step) {
    return step.get("secondsCompute").asDouble() + step.get("secondsExchange").asDouble();
  }

  private static double seconds(JsonNode run) throws IOException {
    double seconds = 0;
    Path metrics = Path.of(run.get("output").asText()).resolve("metrics.jsonl");
    for (String line : Files.readAllLines(metrics)) {
      seconds += own(new ObjectMapper().readTree(line));
    }
    return seconds;
  }

  @Test
  void dylora_besideARunForEachRank() throws IOException {
    JsonNode nested = train("dylora", MOST);
    double together = seconds(nested);
    double apart = 0;
    for (int rank = 1; rank <= MOST; rank++) {
      JsonNode alone = train("lora", rank);
      apart += seconds(alone);
      System.err.printf(
          "ranks: | %d | %.2f | %.2f |%n",
          rank,
          100 * nested.at("/ranks/" + (rank - 1) + "/accuracy").asDouble(),
          100 * alone.at("/validation/accuracy").asDouble());
    }
    System.err.printf(
        "ranks: %.0f s together, %.0f s apart, %.2f times%n", together, apart, apart / together);
    assertThat(together).isLessThan(apart);
  }
}
