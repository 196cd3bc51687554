package dev.kindling.job.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.Output;
import dev.kindling.job.config.Output.Mode;
import dev.kindling.job.resume.Checkpoint;
import dev.kindling.job.resume.Checkpoints;
import dev.kindling.job.resume.Checkpoints.Saved;
import dev.kindling.job.storage.Location;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsAction;

/**
 * Where a result is to go, and what is there already: nothing, a finished run, one that can go on,
 * or what must not be touched.
 *
 * @param identity the settings that decide the result
 */
public record OutputFolder(
    FileSystem files, Path folder, Map<String, String> identity, Output output) {
  private static final ObjectMapper JSON = new ObjectMapper();

  static final String MANIFEST = "_SUCCESS";
  static final String METRICS = "metrics.jsonl";

  /** In cluster mode: why a run ended without a result. */
  static final String FAILED = "_FAILED.json";

  static final String RESOLVED = "config.resolved.conf";

  /** Whose run is under way, and of which configuration; removed once it is finished. */
  static final String RUNNING = "_RUNNING";

  /**
   * A folder to write to.
   *
   * @param done the same run, finished before
   * @param saved where the same run, not finished, can go on
   */
  public record Opened(ResultFolder folder, Optional<FinishedRun> done, Optional<Saved> saved) {}

  /**
   * Looks at what is there; changes nothing.
   *
   * @throws ConfigProblems if something is there that must not be replaced
   */
  public static Opened open(Output output, ConfigSource source, Configuration hadoop) {
    try {
      Location place = new Location("output", output.folder());
      return new OutputFolder(place.files(hadoop), place.writable(), source.identity(), output)
          .look();
    } catch (IOException | IllegalArgumentException e) {
      throw refused(output, "cannot be used: " + e.getMessage());
    }
  }

  /**
   * The same for who only wants to know, and need not be allowed to write: whether the folder is
   * free for the run, or holds it, as far as the names of its files and its manifest tell.
   */
  public void requireFree() throws IOException {
    if (!isEmpty()) {
      finished();
    }
  }

  private static ConfigProblems refused(Output output, String why) {
    return new ConfigProblems(List.of("output " + output.folder() + " " + why));
  }

  ConfigProblems refused(String why) {
    return refused(output, why);
  }

  /** A file or folder of the result. */
  Path path(String name) {
    return new Path(folder, name);
  }

  /** The run's checkpoints. */
  Checkpoints checkpoints() {
    return new Checkpoints(files, path("checkpoints"), output.checkpointKeep());
  }

  private Opened look() throws IOException {
    requireWritable();
    Mode mode = output.mode();
    ResultFolder result = new ResultFolder(this, owner());
    boolean empty = isEmpty();
    if (empty && mode == Mode.REQUIRE_RESUME) {
      throw refused("holds nothing to go on from, as output-mode = require-resume asks");
    }
    if (empty) {
      return new Opened(result, Optional.empty(), Optional.empty());
    }
    Optional<FinishedRun> finished = finished();
    boolean anew = finished.isPresent() || mode == Mode.OVERWRITE;
    return new Opened(result, finished, anew ? Optional.empty() : unfinished());
  }

  /** The same run, finished; empty if it is not, or is to be replaced. */
  private Optional<FinishedRun> finished() throws IOException {
    Mode mode = output.mode();
    if (mode == Mode.FAIL_IF_EXISTS) {
      throw refused("exists, and output-mode = fail-if-exists");
    }
    if (!isOurs()) {
      throw refused("exists and is no result folder: choose another");
    }
    Optional<JsonNode> done = mode == Mode.OVERWRITE ? Optional.empty() : json(MANIFEST);
    if (done.isEmpty()) {
      return Optional.empty();
    }
    requireSame(Checkpoint.config(done.get().path("config")), "finished");
    return Optional.of(new FinishedRun(done.get(), metrics()));
  }

  /** Where an unfinished run stands; empty if it has to begin anew. */
  private Optional<Saved> unfinished() throws IOException {
    Optional<Saved> saved =
        checkpoints()
            .newest(
                damaged ->
                    System.err.println("kindling: checkpoint " + damaged + ": going further back"));
    Optional<Map<String, String>> running =
        json(RUNNING).map(node -> Checkpoint.config(node.path("config")));
    Optional<Map<String, String>> begun = saved.map(s -> s.checkpoint().config()).or(() -> running);
    if (begun.isEmpty() && files.exists(path(RUNNING))) { // cut short as it began
      requireResumable(saved);
      return saved;
    }
    requireSame(
        begun.orElseThrow(
            () ->
                refused(
                    "exists but is not finished, and does not say what began it: remove it, choose"
                        + " another, or set output-mode = overwrite")),
        "begun");
    requireResumable(saved);
    return saved;
  }

  private void requireResumable(Optional<Saved> saved) {
    if (saved.isEmpty() && output.mode() == Mode.REQUIRE_RESUME) {
      throw refused("has no checkpoint to go on from, as output-mode = require-resume asks");
    }
  }

  private void requireSame(Map<String, String> theirs, String how) {
    List<String> differing = Checkpoint.differing(theirs, identity);
    if (!differing.isEmpty()) {
      throw refused(
          "was "
              + how
              + " by another configuration; they differ in "
              + String.join(", ", differing)
              + ": choose another, or set output-mode = overwrite");
    }
  }

  /** Finds out now, not after the first step. */
  private void requireWritable() throws IOException {
    Path existing = folder;
    while (!files.exists(existing)) {
      existing = existing.getParent();
    }
    if (!files.getFileStatus(existing).isDirectory()) {
      throw new IOException(existing + " is a file");
    }
    files.access(existing, FsAction.WRITE);
  }

  /** Whether a run of ours has written here: Spark leaves a _SUCCESS too, but an empty one. */
  boolean isOurs() throws IOException {
    return files.exists(path(METRICS))
        || files.exists(path(RUNNING))
        || json(MANIFEST).map(manifest -> manifest.has("config")).orElse(false);
  }

  /** Empty if there is no such file, or one whose writing was cut short. */
  Optional<JsonNode> json(String name) throws IOException {
    Path file = path(name);
    if (!files.exists(file)) {
      return Optional.empty();
    }
    try (InputStream in = files.open(file)) {
      return Optional.of(JSON.readTree(in)).filter(JsonNode::isObject);
    } catch (JsonProcessingException e) {
      return Optional.empty();
    }
  }

  private List<JsonNode> metrics() throws IOException {
    try (InputStream in = files.open(path(METRICS));
        MappingIterator<JsonNode> lines = JSON.readerFor(JsonNode.class).readValues(in)) {
      return lines.readAll();
    }
  }

  /** Whether there is nothing but word of a failure. */
  boolean isEmpty() throws IOException {
    return !files.exists(folder)
        || (files.getFileStatus(folder).isDirectory()
            && files.listStatus(folder, path -> !path.getName().equals(FAILED)).length == 0);
  }

  /** The run that wrote here last; empty if none says so. */
  String owner() throws IOException {
    return json(RUNNING).map(node -> node.path("run").asText()).orElse("");
  }
}
