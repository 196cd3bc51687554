package dev.kindling.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.storage.Location;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * What a finished run has left in its {@link ResultFolder}.
 *
 * @param metrics a line for each step
 */
public record FinishedRun(JsonNode manifest, List<JsonNode> metrics) {
  /** The object that stdout carried. */
  public ObjectNode result() {
    return (ObjectNode) manifest.path("result");
  }

  /**
   * The configuration that it kept, without what was left at its default.
   *
   * @throws ConfigProblems if there is none
   */
  public static ConfigSource config(String output, Configuration hadoop) {
    Path file = new Path(new Location("output", output).writable(), OutputFolder.RESOLVED);
    try (InputStream in = file.getFileSystem(hadoop).open(file)) {
      return ConfigSource.kept(new String(in.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new ConfigProblems(
          List.of(
              "output %s holds no %s of a finished run: name a configuration to explain"
                  .formatted(output, OutputFolder.RESOLVED)));
    }
  }
}
