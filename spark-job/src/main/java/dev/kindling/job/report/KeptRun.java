package dev.kindling.job.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.resume.Checkpoint;
import dev.kindling.job.resume.Checkpoints;
import dev.kindling.job.resume.Checkpoints.Saved;
import dev.kindling.job.storage.Location;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.DigestInputStream;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * What a run has kept, finished or not, read back to be verified.
 *
 * @param examples of the training data
 * @param batch of each step
 * @param ledger an entry for each step
 * @param files whose digests were compared
 * @param problems with files
 */
public record KeptRun(
    boolean finished,
    long examples,
    long batch,
    long seed,
    boolean shuffle,
    List<Entry> ledger,
    int files,
    List<String> problems) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** What a step says of its examples. */
  public record Entry(long step, String ledger) {}

  /**
   * Reads a result folder, or the newest checkpoint of one that is not finished.
   *
   * @throws ConfigProblems if there is neither
   */
  public static KeptRun read(String output, Configuration hadoop) throws IOException {
    Location place = new Location("output", output);
    Path folder = place.writable();
    FileSystem files = place.files(hadoop);
    try {
      JsonNode manifest = JSON.readTree(bytes(files, new Path(folder, OutputFolder.MANIFEST)));
      if (manifest.has("config")) {
        return finished(files, folder, manifest);
      }
    } catch (FileNotFoundException | JsonProcessingException e) {
      // not finished
    }
    return unfinished(files, folder, output);
  }

  private static KeptRun finished(FileSystem files, Path folder, JsonNode manifest)
      throws IOException {
    List<String> problems = new ArrayList<>();
    JsonNode listed = manifest.path("files");
    for (Map.Entry<String, JsonNode> file : listed.properties()) {
      check(files, new Path(folder, file.getKey()), file.getValue().asText())
          .ifPresent(what -> problems.add(file.getKey() + " " + what));
    }
    List<String> lines = new ArrayList<>();
    try {
      byte[] metrics = bytes(files, new Path(folder, OutputFolder.METRICS));
      new String(metrics, StandardCharsets.UTF_8).lines().forEach(lines::add);
    } catch (FileNotFoundException e) {
      // said above
    }
    Map<String, String> config = Checkpoint.config(manifest.path("config"));
    long examples = manifest.path("examples").asLong();
    return of(true, examples, config, lines, listed.size(), problems);
  }

  private static KeptRun unfinished(FileSystem files, Path folder, String output)
      throws IOException {
    List<String> damaged = new ArrayList<>();
    Optional<Saved> saved =
        new Checkpoints(files, new Path(folder, "checkpoints"), 1).newest(damaged::add);
    if (saved.isEmpty()) {
      throw new ConfigProblems(
          List.of("output " + output + " holds neither a finished result nor a checkpoint"));
    }
    Checkpoint checkpoint = saved.get().checkpoint();
    return of(
        false,
        checkpoint.examples(),
        checkpoint.config(),
        saved.get().history(),
        1 + checkpoint.history().size() + checkpoint.changes().size(),
        damaged);
  }

  private static KeptRun of(
      boolean finished,
      long examples,
      Map<String, String> config,
      List<String> lines,
      int files,
      List<String> problems) {
    List<Entry> ledger = new ArrayList<>();
    List<String> all = new ArrayList<>(problems);
    for (String line : lines) {
      try {
        JsonNode step = JSON.readTree(line);
        ledger.add(new Entry(step.path("step").asLong(), step.path("ledger").asText()));
      } catch (JsonProcessingException e) {
        all.add("a line of the metrics is damaged: " + line);
      }
    }
    return new KeptRun(
        finished,
        examples,
        Long.parseLong(config.get("train.global-batch-size")),
        Long.parseLong(config.get("train.seed")),
        Boolean.parseBoolean(config.get("data.shuffle")),
        ledger,
        files,
        all);
  }

  private static Optional<String> check(FileSystem files, Path file, String sha256)
      throws IOException {
    try (DigestInputStream in = new DigestInputStream(files.open(file), HfFolder.sha256())) {
      in.transferTo(java.io.OutputStream.nullOutputStream());
      String found = HexFormat.of().formatHex(in.getMessageDigest().digest());
      return found.equals(sha256) ? Optional.empty() : Optional.of("has changed");
    } catch (FileNotFoundException e) {
      return Optional.of("is missing");
    }
  }

  private static byte[] bytes(FileSystem files, Path file) throws IOException {
    try (InputStream in = files.open(file)) {
      return in.readAllBytes();
    }
  }
}
