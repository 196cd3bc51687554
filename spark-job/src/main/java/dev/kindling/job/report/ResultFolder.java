package dev.kindling.job.report;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.Output.Mode;
import dev.kindling.job.resume.Checkpoint;
import dev.kindling.job.resume.Checkpoints;
import dev.kindling.job.resume.Checkpoints.Saved;
import dev.kindling.job.storage.NewFile;
import dev.kindling.lora.BaseChange;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
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

  private final OutputFolder place;
  private final FileSystem files;
  private final Checkpoints checkpoints;
  private final String run = UUID.randomUUID().toString();
  private final Map<String, String> sha256 = new TreeMap<>();
  private @Nullable NewFile metrics;
  private final MessageDigest metricsSha = HfFolder.sha256();
  private long metricsBytes;

  /** Who had written here when this run looked. */
  private final String owner;

  /** Metrics of steps before this run went on. */
  private final List<String> earlier = new ArrayList<>();

  /** Steps in the newest checkpoint. */
  private long kept;

  /** Metrics of steps since the last checkpoint. */
  private final List<String> unsaved = new ArrayList<>();

  private List<Checkpoint.Part> history = List.of();
  private List<Checkpoint.Part> changes = List.of();

  ResultFolder(OutputFolder place, String owner) {
    this.place = place;
    this.files = place.files();
    this.checkpoints = place.checkpoints();
    this.owner = owner;
  }

  /** Goes on where a run stood: its metrics are kept. */
  public void goOn(Saved saved) {
    earlier.addAll(saved.history());
    history = saved.checkpoint().history();
    changes = saved.checkpoint().changes();
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
    boolean replaces = place.output().mode() == Mode.OVERWRITE;
    if (!replaces && !place.isEmpty() && !place.owner().equals(owner)) {
      throw place.refused("has been written to by another run since this one began");
    }
    files.mkdirs(place.folder());
    remove(place.path(OutputFolder.MANIFEST)); // first of all: what follows is not finished
    remove(place.path(OutputFolder.FAILED));
    ObjectNode running = JSON.createObjectNode();
    running.put("run", run);
    running.set("config", JSON.valueToTree(place.identity()));
    NewFile.put(files, place.path(OutputFolder.RUNNING), JSON.writeValueAsBytes(running));
    if (replaces) {
      for (FileStatus old : files.listStatus(place.folder())) {
        if (!old.getPath().getName().equals(OutputFolder.RUNNING)) {
          remove(old.getPath());
        }
      }
    }
    metrics = NewFile.at(files, place.path(OutputFolder.METRICS));
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

  /** Makes this folder the run's own, where it went on without another step to take. */
  public void claim() throws IOException {
    begin();
    requireOwn();
  }

  private void requireOwn() throws IOException {
    if (!place.owner().equals(run)) {
      throw new IOException("another run has taken over");
    }
  }

  /**
   * Keeps a committed step, so that the same run can go on from it.
   *
   * @param changed what has been added to the base
   */
  public void checkpoint(
      Checkpoint checkpoint, Map<String, float[]> tensors, List<BaseChange> changed)
      throws IOException {
    if (checkpoint.step() == kept) {
      return;
    }
    requireOwn();
    Checkpoint written =
        checkpoints.write(checkpoint.after(history, changes), tensors, unsaved, changed);
    history = written.history();
    changes = written.changes();
    kept = checkpoint.step();
    unsaved.clear();
  }

  /** Steps that the newest checkpoint keeps. */
  public long kept() {
    return kept;
  }

  /** A new file of the result, digested as it is written. */
  public OutputStream create(String name) throws IOException {
    return new DigestOutputStream(NewFile.at(files, place.path(name)), HfFolder.sha256()) {
      @Override
      public void close() throws IOException {
        super.close();
        sha256.put(name, HexFormat.of().formatHex(getMessageDigest().digest()));
      }
    };
  }

  /** Keeps the configuration. */
  public void keep(ConfigSource source) throws IOException {
    try (OutputStream out = create(OutputFolder.RESOLVED)) {
      out.write(source.render().getBytes(StandardCharsets.UTF_8));
    }
  }

  /** Writes the manifest, after which the run is done. */
  public void finish(ObjectNode manifest, ObjectNode result) throws IOException {
    claim();
    metrics.close();
    metrics = null;
    if (files.getFileStatus(place.path(OutputFolder.METRICS)).getLen() != metricsBytes) {
      throw new IOException("another run has taken over");
    }
    sha256.put(OutputFolder.METRICS, HexFormat.of().formatHex(metricsSha.digest()));
    manifest.set("files", JSON.valueToTree(sha256));
    manifest.set("config", JSON.valueToTree(place.identity()));
    manifest.put("configDigest", digest(place.identity()));
    manifest.set("result", result);
    byte[] text = JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(manifest);
    NewFile.put(files, place.path(OutputFolder.MANIFEST), text);
    files.delete(place.path(OutputFolder.RUNNING), false);
    files.delete(
        place.path(OutputFolder.FAILED), false); // of one that this run has taken over from
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
