package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.model.load.Families;
import dev.kindling.tensor.Tensor;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A base of any size with random bf16 weights: for tests of sizes and of the way through the job.
 */
final class RandomWeights {
  private RandomWeights() {}

  /** Writes model.safetensors beside a config.json: matrices of deviation 0.05, norms about 1. */
  static void write(Path folder, long seed) throws IOException {
    List<WeightSlot> slots =
        Families.plan(new ObjectMapper().readTree(folder.resolve("config.json").toFile()), 1)
            .weights();
    var header = new ObjectMapper().createObjectNode();
    long at = 0;
    for (WeightSlot slot : slots) {
      long bytes = 2 * Tensor.elements(slot.storedShape());
      var entry = header.putObject(slot.name()).put("dtype", "BF16");
      for (long size : slot.storedShape()) {
        entry.withArray("shape").add(size);
      }
      entry.putArray("data_offsets").add(at).add(at + bytes);
      at += bytes;
    }
    byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
    SplittableRandom random = new SplittableRandom(seed);
    try (OutputStream out =
        new BufferedOutputStream(
            Files.newOutputStream(folder.resolve("model.safetensors")), 1 << 20)) {
      out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).array());
      out.write(text);
      for (WeightSlot slot : slots) {
        boolean matrix = slot.matrix();
        for (long i = Tensor.elements(slot.storedShape()); i > 0; i--) {
          double uniform = random.nextDouble() - 0.5; // deviation 0.29
          int word =
              Float.floatToRawIntBits((float) (uniform * (matrix ? 0.17 : 0.2) + (matrix ? 0 : 1)))
                  >>> 16;
          out.write(word);
          out.write(word >>> 8);
        }
      }
    }
  }
}
