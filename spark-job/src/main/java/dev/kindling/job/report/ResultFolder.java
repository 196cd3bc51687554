package dev.kindling.job.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.JobConfig.Output;
import dev.kindling.job.config.JobConfig.OutputMode;
import dev.kindling.job.resume.Checkpoint;
import dev.kindling.job.resume.Checkpoints;
import dev.kindling.job.resume.Checkpoints.Saved;
import dev.kindling.job.storage.Location;
import dev.kindling.job.storage.NewFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsAction;
import org.jspecify.annotations.Nullable;

/**
 * What a run leaves behind: {@code adapter/}, {@code metrics.jsonl}, {@code config.resolved.conf}
 * and, last of all, {@code _SUCCESS}, a JSON manifest without which nothing here counts as
 * finished. A run under way has {@code _RUNNING} and, from time to time, {@code checkpoints/}.
 *
 * <p>Nothing is created, and nothing old removed, before the first step has been committed.
 */
public final class ResultFolder implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();
  static final String MANIFEST = "_SUCCESS";
  static final String METRICS = "metrics.jsonl";

  /** Whose run is under way, and of which configuration; gone once it is finished. */
  private static final String RUNNING = "_RUNNING";

  static final String RESOLVED = "config.resolved.conf";

  private final FileSystem files;
  private final Path folder;
  private final Map<String, String> identity;
  private final Output output;
  private final Checkpoints checkpoints;
  private final String run = UUID.randomUUID().toString();
  private final Map<String, String> sha256 = new TreeMap<>();
  private @Nullable NewFile metrics;
  private final MessageDigest metricsSha = HfFolder.sha256();
  private long metricsBytes;

  /** Who had written here when this run looked. */
  private String owner = "";

  /** Metrics of steps before this run went on. */
  private final List<String> earlier = new ArrayList<>();

  /** Steps in the newest checkpoint. */
  private long kept;

  /** Metrics of steps since the last checkpoint. */
  private final List<String> unsaved = new ArrayList<>();

  private List<Checkpoint.Part> history = List.of();

  private ResultFolder(FileSystem files, Path folder, Map<String, String> identity, Output output) {
    this.output = output;
    this.files = files;
    this.folder = folder;
    this.identity = identity;
    this.checkpoints =
        new Checkpoints(files, new Path(folder, "checkpoints"), output.checkpointKeep());
  }

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
      Path folder = new Location("output", output.folder()).writable();
      FileSystem files = folder.getFileSystem(hadoop);
      if (files instanceof LocalFileSystem local) {
        files = local.getRaw(); // no .crc files beside the result
      }
      return new ResultFolder(files, folder, source.identity(), output).look();
    } catch (IOException | IllegalArgumentException e) {
      throw refused(output, "cannot be used: " + e.getMessage());
    }
  }

  private static ConfigProblems refused(Output output, String why) {
    return new ConfigProblems(List.of("output " + output.folder() + " " + why));
  }

  private Opened look() throws IOException {
    requireWritable();
    OutputMode mode = output.mode();
    boolean empty = isEmpty();
    if (empty && mode == OutputMode.REQUIRE_RESUME) {
      throw refused(output, "holds nothing to go on from, as output-mode = require-resume asks");
    }
    if (empty) {
      return new Opened(this, Optional.empty(), Optional.empty());
    }
    if (mode == OutputMode.FAIL_IF_EXISTS) {
      throw refused(output, "exists, and output-mode = fail-if-exists");
    }
    if (!isOurs()) {
      throw refused(output, "exists and is no result folder: choose another");
    }
    if (mode == OutputMode.OVERWRITE) {
      return new Opened(this, Optional.empty(), Optional.empty());
    }
    Optional<JsonNode> done = json(MANIFEST);
    if (done.isPresent()) {
      requireSame(Checkpoint.config(done.get().path("config")), "finished");
      return new Opened(
          this, Optional.of(new FinishedRun(done.get(), metrics())), Optional.empty());
    }
    return new Opened(this, Optional.empty(), unfinished());
  }

  /** Where an unfinished run stands; empty if it has to begin anew. */
  private Optional<Saved> unfinished() throws IOException {
    owner = owner();
    Optional<Saved> saved =
        checkpoints.newest(
            damaged ->
                System.err.println("kindling: checkpoint " + damaged + ": going further back"));
    Optional<Map<String, String>> running =
        json(RUNNING).map(node -> Checkpoint.config(node.path("config")));
    Optional<Map<String, String>> begun = saved.map(s -> s.checkpoint().config()).or(() -> running);
    if (begun.isEmpty() && files.exists(new Path(folder, RUNNING))) { // cut short as it began
      requireResumable(saved);
      return saved;
    }
    requireSame(
        begun.orElseThrow(
            () ->
                refused(
                    output,
                    "exists but is not finished, and does not say what began it: remove it, choose"
                        + " another, or set output-mode = overwrite")),
        "begun");
    requireResumable(saved);
    return saved;
  }

  private void requireResumable(Optional<Saved> saved) {
    if (saved.isEmpty() && output.mode() == OutputMode.REQUIRE_RESUME) {
      throw refused(
          output, "has no checkpoint to go on from, as output-mode = require-resume asks");
    }
  }

  private void requireSame(Map<String, String> theirs, String how) {
    List<String> differing = Checkpoint.differing(theirs, identity);
    if (!differing.isEmpty()) {
      throw refused(
          output,
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
  private boolean isOurs() throws IOException {
    return files.exists(new Path(folder, METRICS))
        || files.exists(new Path(folder, RUNNING))
        || json(MANIFEST).map(manifest -> manifest.has("config")).orElse(false);
  }

  /** Empty if there is no such file, or one whose writing was cut short. */
  private Optional<JsonNode> json(String name) throws IOException {
    Path file = new Path(folder, name);
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
    try (InputStream in = files.open(new Path(folder, METRICS));
        MappingIterator<JsonNode> lines = JSON.readerFor(JsonNode.class).readValues(in)) {
      return lines.readAll();
    }
  }

  private boolean isEmpty() throws IOException {
    return !files.exists(folder)
        || (files.getFileStatus(folder).isDirectory() && files.listStatus(folder).length == 0);
  }

  /** Goes on where a run stood: its metrics are kept. */
  public void goOn(Saved saved) {
    earlier.addAll(saved.history());
    history = saved.checkpoint().history();
    kept = saved.checkpoint().step();
  }

  /** Appends a line; visible to readers at once where the file system can do that. */
  public void metric(ObjectNode line) throws IOException {
    begin();
    String text = JSON.writeValueAsString(line);
    unsaved.add(text);
    append(text);
    metrics.show();
  }

  private void append(String line) throws IOException {
    byte[] bytes = (line + "\n").getBytes(StandardCharsets.UTF_8);
    metrics.write(bytes);
    metricsSha.update(bytes);
    metricsBytes += bytes.length;
  }

  private void begin() throws IOException {
    if (metrics != null) {
      return;
    }
    boolean replaces = output.mode() == OutputMode.OVERWRITE;
    if (!replaces && !isEmpty() && !owner().equals(owner)) {
      throw refused(output, "has been written to by another run since this one began");
    }
    files.mkdirs(folder);
    remove(new Path(folder, MANIFEST)); // first of all: what follows is not finished
    ObjectNode running = JSON.createObjectNode();
    running.put("run", run);
    running.set("config", JSON.valueToTree(identity));
    put(RUNNING, JSON.writeValueAsBytes(running));
    if (replaces) {
      for (FileStatus old : files.listStatus(folder)) {
        if (!old.getPath().getName().equals(RUNNING)) {
          remove(old.getPath());
        }
      }
    }
    metrics = NewFile.at(files, new Path(folder, METRICS));
    for (String line : earlier) {
      append(line);
    }
    earlier.clear();
  }

  private void remove(Path old) throws IOException {
    if (files.exists(old) && !files.delete(old, true)) {
      throw new IOException(old + " cannot be removed");
    }
  }

  private void put(String name, byte[] bytes) throws IOException {
    try (NewFile out = NewFile.at(files, new Path(folder, name))) {
      out.write(bytes);
      out.sync();
    }
  }

  /** Makes this folder the run's own, where it went on without another step to take. */
  public void claim() throws IOException {
    begin();
    requireOwn();
  }

  /** The run that wrote here last; empty if none says so. */
  private String owner() throws IOException {
    return json(RUNNING).map(node -> node.path("run").asText()).orElse("");
  }

  private void requireOwn() throws IOException {
    if (!owner().equals(run)) {
      throw new IOException("another run has taken over");
    }
  }

  /** Keeps a committed step, so that the same run can go on from it. */
  public void checkpoint(Checkpoint checkpoint, Map<String, float[]> tensors) throws IOException {
    if (checkpoint.step() == kept) {
      return;
    }
    requireOwn();
    history = checkpoints.write(checkpoint, tensors, history, unsaved);
    kept = checkpoint.step();
    unsaved.clear();
  }

  /** Steps that the newest checkpoint keeps. */
  public long kept() {
    return kept;
  }

  /** A new file of the result, digested as it is written. */
  public OutputStream create(String name) throws IOException {
    return new DigestOutputStream(NewFile.at(files, new Path(folder, name)), HfFolder.sha256()) {
      @Override
      public void close() throws IOException {
        super.close();
        sha256.put(name, HexFormat.of().formatHex(getMessageDigest().digest()));
      }
    };
  }

  /** Keeps the configuration. */
  public void keep(ConfigSource source) throws IOException {
    try (OutputStream out = create(RESOLVED)) {
      out.write(source.render().getBytes(StandardCharsets.UTF_8));
    }
  }

  /** Writes the manifest, after which the run is done. */
  public void finish(ObjectNode manifest, ObjectNode result) throws IOException {
    claim();
    metrics.close();
    metrics = null;
    if (files.getFileStatus(new Path(folder, METRICS)).getLen() != metricsBytes) {
      throw new IOException("another run has taken over");
    }
    sha256.put(METRICS, HexFormat.of().formatHex(metricsSha.digest()));
    manifest.set("files", JSON.valueToTree(sha256));
    manifest.set("config", JSON.valueToTree(identity));
    manifest.put("configDigest", digest(identity));
    manifest.set("result", result);
    put(MANIFEST, JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(manifest));
    files.delete(new Path(folder, RUNNING), false);
  }

  private static String digest(Map<String, String> identity) {
    return HexFormat.of()
        .formatHex(HfFolder.sha256().digest(identity.toString().getBytes(StandardCharsets.UTF_8)));
  }

  /** Of a run that did not finish: what it has not kept is given up. */
  @Override
  public void close() throws IOException {
    if (metrics != null) {
      metrics.abandon();
      metrics = null;
    }
  }
}
