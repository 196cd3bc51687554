package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The adapter's bytes are a function of data and configuration, however Spark cuts the work. */
class SameBytesTest {
  private static final List<Map<String, String>> WAYS =
      List.of(
          Map.of("cores", "1"),
          Map.of("cores", "2"),
          Map.of("cores", "5", "spark.sql.files.openCostInBytes", "1"),
          Map.of("cores", "3", "spark.sql.files.maxPartitionBytes", "200"),
          Map.of(
              "cores", "2",
              "spark.speculation", "true",
              "spark.speculation.interval", "1ms",
              "spark.speculation.multiplier", "1.0",
              "spark.speculation.quantile", "0.1"),
          Map.of("cores", "2", "spark.default.parallelism", "9"),
          Map.of("cores", "3", "sums", "host"),
          Map.of("cores", "5", "sums", "host", "spark.task.maxFailures", "1"),
          Map.of("cores", "1", "spark.task.maxFailures", "1", "spark.locality.wait", "1ms"));

  @TempDir Path temp;

  /** Rows in several files, some of them empty. */
  private Path data(GoldenFolder golden) throws IOException {
    List<String> rows = Files.readAllLines(Path.of(golden.path("data.jsonl")));
    Path folder = Files.createDirectory(temp.resolve("data"));
    int half = rows.size() / 2;
    Files.write(folder.resolve("a.jsonl"), List.of());
    Files.write(folder.resolve("b.jsonl"), rows.subList(0, 1));
    Files.write(folder.resolve("c.jsonl"), List.of());
    Files.write(folder.resolve("d.jsonl"), rows.subList(1, half));
    Files.write(folder.resolve("e.jsonl"), rows.subList(half, rows.size()));
    return folder;
  }

  @ParameterizedTest
  @ValueSource(strings = {"none", "bf16"})
  void train_anyPartitioning_givesTheSameAdapter(String compression) throws IOException {
    GoldenFolder golden = GoldenFolder.copy("qwen2", temp);
    Path data = data(golden);
    List<Path> adapters = new ArrayList<>();
    for (Map<String, String> way : WAYS) {
      Path output = temp.resolve("out" + adapters.size());
      boolean rounds = compression.equals("bf16"); // which gains nothing by sums on hosts
      way.forEach(System::setProperty);
      try {
        InProcess run =
            InProcess.kindling(
                Integer.parseInt(way.get("cores")),
                golden.train(
                    output,
                    "data.train=" + data,
                    "data.shuffle=true",
                    "adapter.dropout=0.2",
                    "sync.compression=" + compression,
                    "sync.sums=" + (rounds ? "auto" : way.getOrDefault("sums", "auto")),
                    "train.micro-batch-size=1"));
        assertThat(run.code()).as(way + run.stdout()).isZero();
        double up = run.json().at("/bytesUp").asDouble() / run.json().at("/bytesDown").asDouble();
        if (!rounds && way.containsKey("sums")) { // 8 for 4, and what tasks say beside
          assertThat(up).as(way.toString()).isLessThan(3);
        } else if (!rounds && !way.get("cores").equals("1")) {
          assertThat(up).as(way.toString()).isGreaterThan(3);
        }
      } finally {
        way.keySet().forEach(System::clearProperty);
      }
      adapters.add(output.resolve("adapter/adapter_model.safetensors"));
    }
    assertThat(adapters).hasSize(WAYS.size());
    for (Path adapter : adapters) {
      assertThat(adapter).hasSameBinaryContentAs(adapters.get(0));
    }
    try (Stream<String> lines =
        Files.lines(adapters.get(0).getParent().resolveSibling("metrics.jsonl"))) {
      assertThat(lines.count()).isEqualTo(6);
    }
  }
}
