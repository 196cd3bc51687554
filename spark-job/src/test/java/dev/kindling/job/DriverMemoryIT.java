package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Nothing on the driver grows with the number of rows. */
@Tag("scaling")
class DriverMemoryIT {
  private static final int ROWS = 2_000_000;

  @TempDir Path temp;

  /** Driver and executor share the 512 MB here, which is harder than a driver of its own. */
  @Test
  void train_twoMillionRows_fitsADriverHeapOf512Megabytes() throws IOException {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path data = temp.resolve("rows.jsonl");
    try (BufferedWriter out = Files.newBufferedWriter(data)) {
      for (int i = 0; i < ROWS; i++) {
        out.write("{\"input_ids\":[%d,%d],\"label\":%d}\n".formatted(i % 61, i % 59, i % 3));
      }
    }
    List<String> arguments = new ArrayList<>(List.of("--driver-memory", "512m"));
    arguments.addAll(
        bert.train(
            temp.resolve("out"),
            "data.train=" + data,
            "data.shuffle=true",
            "train.steps=3",
            "train.global-batch-size=500"));
    Launched run = Launched.kindling(arguments.toArray(new String[0]));
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(run.stderr()).contains("2,000,000 examples");
  }
}
