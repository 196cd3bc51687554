package dev.kindling.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.Output;
import dev.kindling.job.config.Output.Mode;
import dev.kindling.job.resume.Checkpoint;
import dev.kindling.job.storage.Location;
import dev.kindling.job.storage.NewFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;

/**
 * How a run ended whose driver had nobody to print to: in cluster mode the result folder stands in
 * for stdout and exit code, with {@code _SUCCESS} or {@code _FAILED.json}.
 *
 * @param submission which submission the failure is of: an older one's says nothing
 */
public record Outcome(OutputFolder place, String submission) {
  static final String SUBMISSION = "submission";

  /** Where the configuration's result goes. */
  public static Outcome of(JobConfig config, String submission, Configuration hadoop)
      throws IOException {
    Output output = config.output().orElseThrow();
    Location location = new Location("output", output.folder());
    return new Outcome(
        new OutputFolder(
            location.files(hadoop), location.writable(), config.source().identity(), output),
        submission);
  }

  /**
   * Keeps what stdout would have carried, unless the folder is somebody else's or holds a result.
   *
   * @return whether it could be kept
   */
  public boolean failed(ObjectNode said) throws IOException {
    boolean unfinished = place.isOurs() && place.json(OutputFolder.MANIFEST).isEmpty();
    if (!place.isEmpty() && !unfinished) {
      return false;
    }
    ObjectNode kept = said.deepCopy().put(SUBMISSION, submission);
    byte[] text = (kept.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8);
    place.files().mkdirs(place.folder());
    NewFile.put(place.files(), place.path(OutputFolder.FAILED), text);
    return true;
  }

  /**
   * What stdout would have carried: this submission's result or failure, or else a result of the
   * same configuration that was there before, if that is what the run was asked to be content with.
   */
  public Optional<ObjectNode> read() throws IOException {
    Optional<JsonNode> manifest = place.json(OutputFolder.MANIFEST);
    Optional<JsonNode> result = manifest.filter(this::ofThis).map(node -> node.path("result"));
    Optional<JsonNode> failure = place.json(OutputFolder.FAILED).filter(this::ofThis);
    Optional<JsonNode> before = manifest.filter(this::contents).map(node -> node.path("result"));
    return result
        .or(() -> failure)
        .or(() -> before)
        .map(node -> ((ObjectNode) node).without(SUBMISSION));
  }

  private boolean ofThis(JsonNode node) {
    return node.path(SUBMISSION).asText().equals(submission);
  }

  private boolean contents(JsonNode manifest) {
    Mode mode = place.output().mode();
    Map<String, String> theirs = Checkpoint.config(manifest.path("config"));
    return (mode == Mode.RESUME || mode == Mode.REQUIRE_RESUME)
        && Checkpoint.differing(theirs, place.identity()).isEmpty();
  }
}
