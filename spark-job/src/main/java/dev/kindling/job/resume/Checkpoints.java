package dev.kindling.job.resume;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.resume.Checkpoint.Part;
import dev.kindling.job.storage.NewFile;
import dev.kindling.lora.BaseChange;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.security.DigestInputStream;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.apache.hadoop.fs.ChecksumException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The checkpoints of a result folder: {@code step-…/state.safetensors} and, last of all, {@code
 * step-…/checkpoint.json}, without which a checkpoint does not count; {@code history/} holds the
 * metrics of all steps in parts, {@code changes/} what has been added to the base. Nothing is
 * renamed, which object stores cannot do at once.
 */
public final class Checkpoints {
  private static final ObjectMapper JSON =
      new ObjectMapper().disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);
  private static final String MANIFEST = "checkpoint.json";
  private static final String STATE = "state.safetensors";
  private static final String PREFIX = "step-";

  private final FileSystem files;
  private final Path folder;
  private final int keep;

  /**
   * @param folder of the checkpoints; need not exist yet
   * @param keep how many are kept, at least 1
   */
  public Checkpoints(FileSystem files, Path folder, int keep) {
    this.files = files;
    this.folder = folder;
    this.keep = keep;
  }

  /**
   * A checkpoint, read whole.
   *
   * @param tensors of the training state
   * @param history a line of metrics for each step
   * @param changes of the base
   */
  public record Saved(
      Checkpoint checkpoint,
      Map<String, float[]> tensors,
      List<String> history,
      List<BaseChange> changes) {}

  /**
   * The newest checkpoint that is whole.
   *
   * @param damaged told of each newer one that is not
   * @throws ConfigProblems if the newest is of a later format
   */
  public Optional<Saved> newest(Consumer<String> damaged) throws IOException {
    for (Path one : steps()) {
      try {
        return Optional.of(read(one));
      } catch (FileNotFoundException e) { // cut short while it was written, or history is gone
        damaged.accept(one.getName() + " is not complete: " + e.getMessage());
      } catch (Damaged | JacksonException | ChecksumException | InvalidInput e) {
        damaged.accept(one.getName() + " is damaged: " + e.getMessage());
      }
    }
    return Optional.empty();
  }

  private static final class Damaged extends IOException {
    private static final long serialVersionUID = 1;

    Damaged(String message) {
      super(message);
    }
  }

  /** Folders of checkpoints, the newest first. */
  private List<Path> steps() throws IOException {
    if (!files.exists(folder)) {
      return List.of();
    }
    return Stream.of(files.listStatus(folder))
        .map(FileStatus::getPath)
        .filter(path -> path.getName().startsWith(PREFIX))
        .sorted(Comparator.comparing(Path::getName).reversed())
        .toList();
  }

  private Saved read(Path one) throws IOException {
    JsonNode manifest = JSON.readTree(bytes(new Path(one, MANIFEST)));
    int format = manifest.path("format").asInt(-1);
    if (format > Checkpoint.FORMAT) {
      throw new ConfigProblems(
          List.of(
              one
                  + " is of format "
                  + format
                  + ", this Kindling reads up to "
                  + Checkpoint.FORMAT
                  + ": use the version that wrote it, or a newer one"));
    }
    if (format < 1) {
      throw new Damaged(MANIFEST + " says no format");
    }
    Checkpoint checkpoint = JSON.treeToValue(manifest, Checkpoint.class);
    Map<String, float[]> tensors = tensors(new Path(one, STATE), checkpoint.state());
    List<String> history = new ArrayList<>();
    for (Part part : checkpoint.history()) {
      byte[] lines = sound(new Path(new Path(folder, "history"), part.name()), part.sha256());
      new String(lines, StandardCharsets.UTF_8).lines().forEach(history::add);
    }
    List<BaseChange> changes = new ArrayList<>();
    for (Part part : checkpoint.changes()) {
      var change = tensors(new Path(new Path(folder, "changes"), part.name()), part.sha256());
      changes.add(new BaseChange((int) change.get("rank")[0], change.get("factors")));
    }
    return new Saved(checkpoint, tensors, history, changes);
  }

  private byte[] sound(Path file, String sha256) throws IOException {
    byte[] bytes = bytes(file);
    MessageDigest digest = HfFolder.sha256();
    digest.update(bytes);
    requireSound(file, digest, sha256);
    return bytes;
  }

  private byte[] bytes(Path file) throws IOException {
    try (InputStream in = files.open(file)) {
      return in.readAllBytes();
    }
  }

  private Map<String, float[]> tensors(Path state, String sha256) throws IOException {
    java.nio.file.Path local = Files.createTempFile("kindling-", ".safetensors");
    try {
      try (DigestInputStream in = new DigestInputStream(files.open(state), HfFolder.sha256())) {
        Files.copy(in, local, StandardCopyOption.REPLACE_EXISTING);
        requireSound(state, in.getMessageDigest(), sha256);
      }
      Map<String, float[]> tensors = new HashMap<>();
      for (StoredTensor tensor : Safetensors.open(local).values()) {
        tensors.put(tensor.name(), tensor.floats());
      }
      return tensors;
    } finally {
      Files.delete(local);
    }
  }

  private static void requireSound(Path file, MessageDigest found, String sha256) throws Damaged {
    if (!HexFormat.of().formatHex(found.digest()).equals(sha256)) {
      throw new Damaged(file.getName() + " is not what was written");
    }
  }

  /**
   * Writes a checkpoint, then removes those that are too many.
   *
   * @param checkpoint naming the parts that are written already
   * @param lines metrics of the steps since
   * @param changes of the base, all of them
   * @return the same with all its files
   */
  public Checkpoint write(
      Checkpoint checkpoint,
      Map<String, float[]> tensors,
      List<String> lines,
      List<BaseChange> changes)
      throws IOException {
    String name = String.format(Locale.ROOT, "%s%012d", PREFIX, checkpoint.step());
    List<Part> history = new ArrayList<>(checkpoint.history());
    if (!lines.isEmpty()) {
      String part = name + ".jsonl";
      byte[] text = (String.join("\n", lines) + "\n").getBytes(StandardCharsets.UTF_8);
      NewFile.put(files, new Path(new Path(folder, "history"), part), text);
      history.add(new Part(part, sha256(text)));
    }
    List<Part> changed = new ArrayList<>(checkpoint.changes());
    for (BaseChange change : changes.subList(changed.size(), changes.size())) {
      String part = String.format(Locale.ROOT, "%012d.safetensors", changed.size());
      Path file = new Path(new Path(folder, "changes"), part);
      var values = Map.of("rank", new float[] {change.rank()}, "factors", change.factors());
      changed.add(new Part(part, state(file, values)));
    }
    Path one = new Path(folder, name);
    files.delete(one, true); // what a run left that was stopped while writing it
    String state = state(new Path(one, STATE), tensors);
    Checkpoint whole = checkpoint.with(state, history, changed);
    NewFile.put(files, new Path(one, MANIFEST), JSON.writeValueAsBytes(whole));
    int kept = 0;
    for (Path other : steps()) {
      // Later ones are damaged, or the run would have gone on from them.
      boolean later = other.getName().compareTo(name) > 0;
      kept += later ? 0 : 1;
      if (later || kept > keep) {
        files.delete(other, true);
      }
    }
    return whole;
  }

  /** Writes the tensors; returns their file's digest. */
  private String state(Path file, Map<String, float[]> tensors) throws IOException {
    Map<String, Safetensors.Values> values = new HashMap<>();
    tensors.forEach((name, data) -> values.put(name, new Safetensors.Values(data, data.length)));
    MessageDigest digest = HfFolder.sha256();
    try (NewFile out = NewFile.at(files, file)) {
      Safetensors.write(new DigestOutputStream(out, digest), values, Map.of());
      out.sync();
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static String sha256(byte[] bytes) {
    return HexFormat.of().formatHex(HfFolder.sha256().digest(bytes));
  }
}
