package dev.kindling.checkpoint;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.InvalidInput;
import dev.kindling.tensor.StoredType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** A published model: {@code config.json} and {@code model.safetensors}, whole or in shards. */
public final class HfFolder {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);

  /** Bytes handed on at a time: what one broadcast carries. */
  public static final long CHUNK_BYTES = (64L << 20) - (4L << 10);

  private final Path folder;
  private final JsonNode config;
  private final Map<String, StoredTensor> tensors;

  private HfFolder(Path folder, JsonNode config, Map<String, StoredTensor> tensors) {
    this.folder = folder;
    this.config = config;
    this.tensors = tensors;
  }

  /**
   * Reads the configuration and the headers, not the weights.
   *
   * @throws InvalidInput if a file is missing or broken
   */
  public static HfFolder open(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new InvalidInput(
          "base.path " + folder, "is not a folder", "expected a Hugging Face model folder");
    }
    JsonNode config = json(folder.resolve("config.json"));
    Path whole = folder.resolve("model.safetensors");
    Path index = folder.resolve("model.safetensors.index.json");
    if (Files.exists(whole)) {
      return new HfFolder(folder, config, Safetensors.open(whole));
    }
    if (Files.exists(index)) {
      return new HfFolder(folder, config, ShardIndex.open(folder, index));
    }
    throw new InvalidInput(
        folder.toString(),
        "has neither model.safetensors nor model.safetensors.index.json",
        "convert other weight formats to safetensors");
  }

  /** Parses a JSON file, which must exist and hold an object. */
  public static JsonNode json(Path file) {
    if (!Files.exists(file)) {
      throw new InvalidInput(file.toString(), "does not exist", "is the folder complete?");
    }
    if (!Files.isReadable(file)) {
      throw new InvalidInput(file.toString(), "cannot be read", "mend its permissions");
    }
    try {
      JsonNode tree = JSON.readTree(file.toFile());
      if (tree.isObject()) {
        return tree;
      }
    } catch (IOException e) {
      throw new InvalidInput(file.toString(), "is not JSON: " + e.getMessage(), "mend the file");
    }
    throw new InvalidInput(file.toString(), "is not a JSON object", "mend the file");
  }

  public Path folder() {
    return folder;
  }

  /** All tensors, in name order. */
  public Collection<StoredTensor> tensors() {
    return tensors.values();
  }

  /** The parsed {@code config.json}. */
  public JsonNode config() {
    return config;
  }

  /**
   * The stored tensor for a canonical name: under that name, without the family's prefix, or with
   * the LayerNorm names of TensorFlow days (gamma, beta).
   */
  public Optional<StoredTensor> find(String name) {
    String bare = name.substring(name.indexOf('.') + 1);
    for (String candidate : List.of(name, bare)) {
      for (String spelling :
          List.of(
              candidate,
              candidate.replace("LayerNorm.weight", "LayerNorm.gamma"),
              candidate.replace("LayerNorm.bias", "LayerNorm.beta"))) {
        StoredTensor tensor = tensors.get(spelling);
        if (tensor != null) {
          return Optional.of(tensor);
        }
      }
    }
    return Optional.empty();
  }

  /** Names of stored tensors that no slot takes, as files spell them. */
  public List<String> unused(List<WeightSlot> slots) {
    Set<String> unused = new TreeSet<>(tensors.keySet());
    slots.forEach(slot -> find(slot.name()).ifPresent(tensor -> unused.remove(tensor.name())));
    return List.copyOf(unused);
  }

  /**
   * Finds every slot and checks its shape.
   *
   * @throws InvalidInput naming what is missing or misshapen
   */
  public Map<WeightSlot, StoredTensor> resolve(List<WeightSlot> slots) {
    Map<WeightSlot, StoredTensor> found = new LinkedHashMap<>();
    List<String> missing = new ArrayList<>();
    for (WeightSlot slot : slots) {
      find(slot.name())
          .ifPresentOrElse(
              tensor -> found.put(slot, tensor.require(slot.storedShape())),
              () -> missing.add(slot.name()));
    }
    if (!missing.isEmpty()) {
      throw new InvalidInput(
          folder.toString(),
          "lacks "
              + missing.size()
              + " of "
              + slots.size()
              + " tensors: "
              + Safetensors.some(missing),
          missing.stream().anyMatch(m -> m.contains("pooler"))
              ? "an encoder without its pooler can be used with adapter.modules-to-save = [classifier,"
                  + " pooler], which trains one from the seed"
              : "is config.json of this model?");
    }
    return found;
  }

  /** Receives weights piece by piece. */
  public interface ChunkConsumer {
    /**
     * @param slot which tensor
     * @param from first element of the piece
     * @param bytes the piece, as stored
     */
    void accept(WeightSlot slot, long from, ByteBuffer bytes, StoredType type);
  }

  /** Hands on every slot's elements in pieces of at most {@link #CHUNK_BYTES}, in slot order. */
  public void stream(List<WeightSlot> slots, ChunkConsumer consumer) {
    resolve(slots)
        .forEach(
            (slot, tensor) -> {
              long step = CHUNK_BYTES / tensor.type().bytes();
              for (long from = 0; from < tensor.elements(); from += step) {
                long count = Math.min(step, tensor.elements() - from);
                consumer.accept(slot, from, tensor.map(from, count), tensor.type());
              }
            });
  }

  /**
   * SHA-256 over names, shapes, types and bytes of those slots that the base has, whatever the
   * files they lie in.
   *
   * @throws InvalidInput at the first value that is not finite
   */
  public String digest(List<WeightSlot> slots) {
    MessageDigest sha = sha256();
    stream(
        slots.stream().filter(slot -> find(slot.name()).isPresent()).toList(),
        (slot, from, bytes, type) -> {
          if (from == 0) {
            String head = slot.name() + type + Arrays.toString(slot.storedShape());
            sha.update(head.getBytes(StandardCharsets.UTF_8));
          }
          long bad = firstNotFinite(bytes, type);
          if (bad >= 0) {
            throw new InvalidInput(
                find(slot.name()).map(StoredTensor::where).orElse(slot.name()),
                String.format(Locale.ROOT, "element %,d is NaN or infinite", from + bad),
                "the base is damaged: fetch it again");
          }
          sha.update(bytes.duplicate());
        });
    return HexFormat.of().formatHex(sha.digest());
  }

  /** A value is NaN or infinite iff all its exponent bits are set. */
  private static long firstNotFinite(ByteBuffer bytes, StoredType type) {
    int width = type.bytes();
    int exponent =
        switch (type) {
          case F32 -> 0x7f800000;
          case BF16 -> 0x7f80;
          case F16 -> 0x7c00;
        };
    for (int at = bytes.position(); at < bytes.limit(); at += width) {
      int bits = width == 4 ? bytes.getInt(at) : bytes.getShort(at);
      if ((bits & exponent) == exponent) {
        return (long) (at - bytes.position()) / width;
      }
    }
    return -1;
  }

  /** SHA-256, which every Java has. */
  public static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Lower-case hex SHA-256 of a file. */
  public static String sha256(Path file) {
    MessageDigest sha = sha256();
    try (var in = Files.newInputStream(file)) {
      byte[] buffer = new byte[1 << 16];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        sha.update(buffer, 0, n);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read " + file, e);
    }
    return HexFormat.of().formatHex(sha.digest());
  }
}
