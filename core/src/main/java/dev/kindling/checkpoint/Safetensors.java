package dev.kindling.checkpoint;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Reads headers of safetensors files and writes whole ones. */
public final class Safetensors {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);

  /** The format's own limit on headers. */
  private static final long LARGEST_HEADER = 100_000_000;

  private static final Map<String, Integer> WIDTHS =
      Map.ofEntries(
          Map.entry("F64", 8),
          Map.entry("I64", 8),
          Map.entry("U64", 8),
          Map.entry("F32", 4),
          Map.entry("I32", 4),
          Map.entry("U32", 4),
          Map.entry("F16", 2),
          Map.entry("BF16", 2),
          Map.entry("I16", 2),
          Map.entry("U16", 2),
          Map.entry("F8_E4M3", 1),
          Map.entry("F8_E5M2", 1),
          Map.entry("I8", 1),
          Map.entry("U8", 1),
          Map.entry("BOOL", 1));

  private Safetensors() {}

  /** Values to be written as F32. */
  public record Values(float[] data, long... shape) {
    /** As they are written. */
    public Written written() {
      return Written.of(StoredType.F32, data, shape);
    }
  }

  /**
   * Reads and checks a file's header.
   *
   * @return tensors by name, in name order
   * @throws InvalidInput if the file is truncated, overlong or inconsistent
   */
  public static Map<String, StoredTensor> open(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      long length = size < 8 ? -1 : little(channel, 0, 8).getLong();
      if (length < 2 || length > LARGEST_HEADER || 8 + length > size) {
        throw new InvalidInput(
            file + " @ byte 0",
            "header of " + length + " bytes in a file of " + size,
            "not a safetensors file, or a truncated one: fetch it again");
      }
      byte[] text = new byte[(int) length];
      little(channel, 8, text.length).get(text);
      return tensors(file, header(file, text), 8 + length, size);
    } catch (IOException e) {
      throw new InvalidInput(file.toString(), "cannot be read: " + e.getMessage(), "may it be?");
    }
  }

  private static JsonNode header(Path file, byte[] text) {
    try {
      JsonNode header = JSON.readTree(text);
      if (header.isObject()) {
        return header;
      }
    } catch (IOException e) {
      throw new InvalidInput(
          file + " @ byte 8", "header is not JSON: " + e.getMessage(), "fetch the file again");
    }
    throw new InvalidInput(file + " @ byte 8", "header is not an object", "fetch it again");
  }

  private static Map<String, StoredTensor> tensors(
      Path file, JsonNode header, long start, long size) {
    Map<String, StoredTensor> tensors = new TreeMap<>();
    header
        .fields()
        .forEachRemaining(
            field -> {
              if (!field.getKey().equals("__metadata__")) {
                tensors.put(
                    field.getKey(), tensor(file, field.getKey(), field.getValue(), start, size));
              }
            });
    List<StoredTensor> inOrder = new ArrayList<>(tensors.values());
    inOrder.sort(
        Comparator.comparingLong(StoredTensor::offset).thenComparingLong(StoredTensor::bytes));
    long end = start;
    for (StoredTensor tensor : inOrder) {
      if (tensor.offset() < end) {
        throw new InvalidInput(
            tensor.where(), "overlaps the tensor before it", "fetch the file again");
      }
      if (tensor.offset() > end) {
        throw new InvalidInput(
            tensor.where(),
            (tensor.offset() - end) + " bytes before it belong to no tensor",
            "fetch the file again");
      }
      end = tensor.offset() + tensor.bytes();
    }
    if (end != size) {
      throw new InvalidInput(
          file + " @ byte " + end,
          "the last " + (size - end) + " bytes belong to no tensor",
          "fetch the file again");
    }
    return tensors;
  }

  private static StoredTensor tensor(
      Path file, String name, JsonNode entry, long start, long size) {
    JsonNode offsets = entry.path("data_offsets");
    String dtype = entry.path("dtype").asText();
    long[] shape = shape(file, name, entry.path("shape"));
    StoredTensor tensor =
        new StoredTensor(
            name,
            dtype,
            shape,
            file,
            start + offsets.path(0).asLong(-1),
            offsets.path(1).asLong(-1) - offsets.path(0).asLong(-1));
    Integer width = WIDTHS.get(dtype);
    if (width == null) {
      throw new InvalidInput(
          tensor.where(), "has unknown dtype " + dtype, "supported: F32, F16, BF16");
    }
    if (offsets.path(0).asLong(-1) < 0 || tensor.bytes() != width * Tensor.elements(shape)) {
      throw new InvalidInput(
          tensor.where(),
          "spans " + tensor.bytes() + " bytes",
          "its shape and dtype need " + width * Tensor.elements(shape) + ": fetch the file again");
    }
    if (tensor.offset() + tensor.bytes() > size) {
      throw new InvalidInput(
          tensor.where(),
          "ends at byte " + (tensor.offset() + tensor.bytes()) + " of a file of " + size,
          "the file is truncated: fetch it again");
    }
    return tensor;
  }

  private static long[] shape(Path file, String name, JsonNode found) {
    long[] shape = new long[found.size()];
    boolean sound = found.isArray();
    double bytes = 8;
    for (int d = 0; sound && d < shape.length; d++) {
      JsonNode size = found.get(d);
      shape[d] = size.asLong(-1);
      bytes *= Math.max(1, shape[d]);
      sound = size.isIntegralNumber() && size.canConvertToLong() && shape[d] >= 0;
    }
    if (!sound || bytes >= Long.MAX_VALUE) {
      throw new InvalidInput(
          file + ": tensor " + name,
          "has shape " + found,
          "expected a list of sizes of at least 0: fetch the file again");
    }
    return shape;
  }

  /**
   * A tensor to be written.
   *
   * @param dtype as files spell it
   * @param data writes exactly its bytes, little-endian, when its turn comes
   */
  public record Written(String dtype, long[] shape, Data data) {
    /** Writes a tensor's bytes. */
    public interface Data {
      void to(OutputStream out) throws IOException;
    }

    /** Values as they are, or rounded to half of their width. */
    static Written of(StoredType type, float[] values, long... shape) {
      return new Written(
          type.name(),
          shape,
          out -> {
            ByteBuffer bytes =
                ByteBuffer.allocate(type.bytes() * values.length).order(ByteOrder.LITTLE_ENDIAN);
            if (type == StoredType.F32) {
              bytes.asFloatBuffer().put(values);
            } else {
              for (float value : values) {
                bytes.putShort(type.narrow(value));
              }
            }
            out.write(bytes.array());
          });
    }

    /** How many those are. */
    public long bytes() {
      return (long) WIDTHS.getOrDefault(dtype, 0) * Tensor.elements(shape);
    }
  }

  /**
   * Writes tensors as F32, in name order, the data aligned to 8 bytes.
   *
   * @param metadata strings for {@code __metadata__}
   */
  public static void write(
      OutputStream out, Map<String, Values> tensors, Map<String, String> metadata)
      throws IOException {
    Map<String, Written> written = new TreeMap<>();
    for (Map.Entry<String, Values> tensor : tensors.entrySet()) {
      Values values = tensor.getValue();
      if (values.data.length != Tensor.elements(values.shape)) {
        throw new IllegalArgumentException(tensor.getKey() + ": shape and values differ in size");
      }
      written.put(tensor.getKey(), values.written());
    }
    stream(out, written, metadata);
  }

  /** Writes tensors one after another, in name order. */
  public static void stream(
      OutputStream out, Map<String, Written> tensors, Map<String, String> metadata)
      throws IOException {
    ObjectNode header = JSON.createObjectNode();
    header.set("__metadata__", JSON.valueToTree(metadata));
    long at = 0;
    Map<String, Written> ordered = new TreeMap<>(tensors);
    for (Map.Entry<String, Written> tensor : ordered.entrySet()) {
      long end = at + tensor.getValue().bytes();
      ObjectNode entry = header.putObject(tensor.getKey());
      entry.put("dtype", tensor.getValue().dtype);
      entry.set("shape", JSON.valueToTree(tensor.getValue().shape));
      entry.set("data_offsets", JSON.valueToTree(new long[] {at, end}));
      at = end;
    }
    byte[] text = padded(header);
    out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).array());
    out.write(text);
    for (Written tensor : ordered.values()) {
      tensor.data.to(out);
    }
  }

  private static byte[] padded(JsonNode header) throws JsonProcessingException {
    String text = JSON.writeValueAsString(header);
    int bytes = text.getBytes(StandardCharsets.UTF_8).length;
    return (text + " ".repeat((8 - bytes % 8) % 8)).getBytes(StandardCharsets.UTF_8);
  }

  private static ByteBuffer little(FileChannel channel, long at, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    while (buffer.hasRemaining() && channel.read(buffer, at + buffer.position()) >= 0) {
      // until full or at the end of the file
    }
    return buffer.flip();
  }

  /** For messages: the first few names of many. */
  public static String some(List<String> names) {
    return String.join(", ", names.subList(0, Math.min(5, names.size())))
        + (names.size() > 5 ? " and " + (names.size() - 5) + " more" : "");
  }
}
