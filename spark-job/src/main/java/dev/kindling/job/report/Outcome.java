package dev.kindling.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.JobConfig.Output;
import dev.kindling.job.config.JobConfig.OutputMode;
import dev.kindling.job.storage.Location;
import dev.kindling.job.storage.NewFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;

/**
 * How a run ended whose driver had nobody to print to: in cluster mode the result folder stands in
 * for stdout and exit code, with {@code _SUCCESS} or {@code _FAILED.json}.
 *
 * @param submission which submission the failure is of: an older one's says nothing
 */
public record Outcome(OutputFolder place, String submission) {
  /** Where the configuration's result goes. */
  public static Outcome of(ConfigSource source, String submission, Configuration hadoop)
      throws IOException {
    String folder = source.user().getString("output");
    Location location = new Location("output", folder);
    return new Outcome(
        new OutputFolder(
            location.files(hadoop),
            location.writable(),
            source.identity(),
            new Output(folder, OutputMode.RESUME, 1, 1)),
        submission);
  }

  /**
   * Keeps what stdout would have carried, unless the folder is somebody else's.
   *
   * @return whether it could be kept
   */
  public boolean failed(ObjectNode said) throws IOException {
    if (!place.isEmpty() && !place.isOurs()) {
      return false;
    }
    ObjectNode kept = said.deepCopy().put("submission", submission);
    byte[] text = (kept.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8);
    place.files().mkdirs(place.folder());
    NewFile.put(place.files(), place.path(OutputFolder.FAILED), text);
    return true;
  }

  /** What stdout would have carried: this submission's failure, or else the finished result. */
  public Optional<ObjectNode> read() throws IOException {
    Optional<JsonNode> failure =
        place
            .json(OutputFolder.FAILED)
            .filter(node -> node.path("submission").asText().equals(submission));
    return failure.or(this::finished).map(node -> ((ObjectNode) node).without("submission"));
  }

  private Optional<JsonNode> finished() {
    try {
      return place.json(OutputFolder.MANIFEST).map(manifest -> manifest.path("result"));
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
