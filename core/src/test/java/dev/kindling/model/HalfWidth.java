package dev.kindling.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.checkpoint.StoredTensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Writes weights cut to their upper halves, bf16, which our own writer never does. */
final class HalfWidth {
  private HalfWidth() {}

  static void write(Map<String, StoredTensor> weights, Path folder) throws IOException {
    ObjectNode header = new ObjectMapper().createObjectNode();
    ByteArrayOutputStream words = new ByteArrayOutputStream();
    for (StoredTensor tensor : weights.values()) {
      ObjectNode entry = header.putObject(tensor.name()).put("dtype", "BF16");
      for (long size : tensor.shape()) {
        entry.withArray("shape").add(size);
      }
      int from = words.size();
      for (float value : tensor.floats()) {
        int bits = Float.floatToRawIntBits(value);
        words.write(bits >>> 16);
        words.write(bits >>> 24);
      }
      entry.putArray("data_offsets").add(from).add(words.size());
    }
    byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer file =
        ByteBuffer.allocate(8 + text.length + words.size()).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(text.length).put(text).put(words.toByteArray());
    Files.write(folder.resolve("model.safetensors"), file.array());
  }
}
