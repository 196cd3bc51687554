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
import dev.kindling.job.storage.Location;
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
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.StreamCapabilities;
import org.apache.hadoop.fs.permission.FsAction;
import org.jspecify.annotations.Nullable;

/**
 * What a run leaves behind: {@code adapter/}, {@code metrics.jsonl}, {@code config.resolved.conf}
 * and, last of all, {@code _SUCCESS}, a JSON manifest without which nothing here counts as
 * finished.
 *
 * <p>Nothing is created, and nothing old removed, before the first step has been committed.
 */
public final class ResultFolder implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String MANIFEST = "_SUCCESS";
  private static final String METRICS = "metrics.jsonl";
  static final String RESOLVED = "config.resolved.conf";

  private final FileSystem files;
  private final Path folder;
  private final Map<String, String> identity;
  private final Output output;
  private final Map<String, String> sha256 = new TreeMap<>();
  private @Nullable FSDataOutputStream metrics;
  private final MessageDigest metricsSha = HfFolder.sha256();
  private long metricsBytes;

  private ResultFolder(FileSystem files, Path folder, Map<String, String> identity, Output output) {
    this.output = output;
    this.files = files;
    this.folder = folder;
    this.identity = identity;
  }

  /** A folder to write to, or the same run, done before. */
  public record Opened(ResultFolder folder, Optional<FinishedRun> done) {}

  /**
   * Looks at what is there; changes nothing.
   *
   * @throws ConfigProblems if something is there that must not be replaced
   */
  public static Opened open(Output output, ConfigSource source, Configuration hadoop) {
    try {
      return look(output, source, hadoop);
    } catch (IOException | IllegalArgumentException e) {
      throw refused(output, "cannot be used: " + e.getMessage());
    }
  }

  private static ConfigProblems refused(Output output, String why) {
    return new ConfigProblems(List.of("output " + output.folder() + " " + why));
  }

  private static Opened look(Output output, ConfigSource source, Configuration hadoop)
      throws IOException {
    Path folder = new Location("output", output.folder()).writable();
    FileSystem files = folder.getFileSystem(hadoop);
    if (files instanceof LocalFileSystem local) {
      files = local.getRaw(); // no .crc files beside the result
    }
    ResultFolder result = new ResultFolder(files, folder, source.identity(), output);
    result.requireWritable();
    if (result.isEmpty()) {
      return new Opened(result, Optional.empty());
    }
    if (!result.isOurs()) {
      throw refused(output, "exists and is no result folder: choose another");
    }
    if (output.mode() == OutputMode.OVERWRITE) {
      return new Opened(result, Optional.empty());
    }
    JsonNode done =
        result
            .manifest()
            .orElseThrow(
                () ->
                    refused(
                        output,
                        "exists but is not finished: remove it, choose another, or set output-mode ="
                            + " overwrite"));
    List<String> differing = result.differing(done.path("config"));
    if (!differing.isEmpty()) {
      throw refused(
          output,
          "was finished by another configuration; they differ in "
              + String.join(", ", differing)
              + ": choose another, or set output-mode = overwrite");
    }
    return new Opened(result, Optional.of(new FinishedRun(done, result.metrics())));
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

  /** Whether a run of ours has written here: nothing else may ever be deleted. */
  private boolean isOurs() throws IOException {
    return files.exists(new Path(folder, MANIFEST)) || files.exists(new Path(folder, METRICS));
  }

  /** Empty if there is none, or one whose writing was cut short. */
  private Optional<JsonNode> manifest() throws IOException {
    Path file = new Path(folder, MANIFEST);
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

  private List<String> differing(JsonNode config) {
    Map<String, String> theirs = new TreeMap<>();
    config.fields().forEachRemaining(e -> theirs.put(e.getKey(), e.getValue().asText()));
    List<String> differing = new ArrayList<>();
    identity.forEach(
        (key, value) -> {
          String other = theirs.remove(key);
          if (!value.equals(other)) {
            differing.add(key + " (" + other + " there, " + value + " here)");
          }
        });
    theirs.forEach((key, value) -> differing.add(key + " (" + value + " there)"));
    return differing;
  }

  /** Appends a line; visible to readers at once where the file system can do that. */
  public void metric(ObjectNode line) throws IOException {
    if (metrics == null) {
      begin();
    }
    byte[] bytes = (JSON.writeValueAsString(line) + "\n").getBytes(StandardCharsets.UTF_8);
    metrics.write(bytes);
    metricsSha.update(bytes);
    metricsBytes += bytes.length;
    if (metrics.hasCapability(StreamCapabilities.HSYNC)) {
      metrics.hflush();
    } else {
      metrics.flush();
    }
  }

  private void begin() throws IOException {
    if (output.mode() == OutputMode.OVERWRITE) {
      files.delete(folder, true);
    } else if (!isEmpty()) {
      throw refused(output, "has been written to by another run since this one began");
    }
    files.mkdirs(folder);
    metrics = files.create(new Path(folder, METRICS), false);
  }

  /** A new file of the result, digested as it is written. */
  public OutputStream create(String name) throws IOException {
    return new DigestOutputStream(files.create(new Path(folder, name)), HfFolder.sha256()) {
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
    close();
    if (files.getFileStatus(new Path(folder, METRICS)).getLen() != metricsBytes) {
      throw new IOException("another run has taken over output " + output.folder());
    }
    sha256.put(METRICS, HexFormat.of().formatHex(metricsSha.digest()));
    manifest.set("files", JSON.valueToTree(sha256));
    manifest.set("config", JSON.valueToTree(identity));
    manifest.put("configDigest", digest(identity));
    manifest.set("result", result);
    try (OutputStream out = files.create(new Path(folder, MANIFEST))) {
      out.write(JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(manifest));
    }
  }

  private static String digest(Map<String, String> identity) {
    return HexFormat.of()
        .formatHex(HfFolder.sha256().digest(identity.toString().getBytes(StandardCharsets.UTF_8)));
  }

  @Override
  public void close() throws IOException {
    if (metrics != null) {
      metrics.close();
      metrics = null;
    }
  }
}
