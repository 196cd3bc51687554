package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.model.load.Families;
import dev.kindling.tensor.Tensor;
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

  /** Writes model.safetensors beside a config.json: matrices of ±[1/32, 1/16), norms [1, 1.25). */
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
    try (OutputStream out = Files.newOutputStream(folder.resolve("model.safetensors"))) {
      out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).array());
      out.write(text);
      ByteBuffer chunk = ByteBuffer.allocate(1 << 20);
      for (WeightSlot slot : slots) {
        for (long left = 2 * Tensor.elements(slot.storedShape()); left > 0; ) {
          fill(chunk, random, slot.matrix());
          int bytes = (int) Math.min(left, chunk.capacity());
          out.write(chunk.array(), 0, bytes);
          left -= bytes;
        }
      }
    }
  }

  /** Four words of each draw: sign and fraction, or only a small fraction, are random. */
  private static void fill(ByteBuffer chunk, SplittableRandom random, boolean matrix) {
    long kept = matrix ? 0x807f_807f_807f_807fL : 0x001f_001f_001f_001fL;
    long exponent = matrix ? 0x3d00_3d00_3d00_3d00L : 0x3f80_3f80_3f80_3f80L;
    chunk.clear();
    chunk.order(ByteOrder.LITTLE_ENDIAN);
    while (chunk.hasRemaining()) {
      chunk.putLong((random.nextLong() & kept) | exponent);
    }
  }
}
