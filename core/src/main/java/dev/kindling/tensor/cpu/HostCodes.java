package dev.kindling.tensor.cpu;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.function.Consumer;

/**
 * A matrix as codes, on its way to a device that decodes it by itself. Element i is {@code
 * level(code i) · scale(i / 64)}, a scale {@code map(scale's code) · range(block / 256) + mean}; of
 * 4 bits two codes share a byte, the first in the upper half, and of 8 a code is a whole number of
 * 127 parts of the scale.
 */
public final class HostCodes implements AutoCloseable {
  /** Elements that are decoded at once. */
  private static final int PIECE = 1 << 16;

  private final Codes all;

  private HostCodes(Codes all) {
    this.all = all;
  }

  /** Rounds a matrix of so many elements, which the filler writes into memory of ours. */
  public static HostCodes of(Storage storage, long elements, Consumer<FloatBuffer> filler) {
    Tensor w = CpuMemory.allocate(DType.F32, elements);
    try (Workers workers = new Workers(Runtime.getRuntime().availableProcessors())) {
      filler.accept(CpuMemory.floats(w));
      return new HostCodes(Codes.of(storage, w, workers));
    } finally {
      CpuMemory.free(w);
    }
  }

  /** What the codes of a matrix stand for, element by element in its own order. */
  public static float[] rounded(Storage storage, float[] w) {
    try (HostCodes codes = of(storage, w.length, into -> into.put(0, w))) {
      float[] values = new float[w.length];
      Codes.Line line = new Codes.Line();
      for (int from = 0; from < w.length; from += PIECE) {
        int count = Math.min(PIECE, w.length - from);
        codes.all.decode(from, count, line, false);
        System.arraycopy(line.floats(), 0, values, from, count);
      }
      return values;
    }
  }

  /** Bytes of a matrix of so many elements, scales included. */
  public static long bytes(Storage storage, long elements) {
    return Codes.bytes(storage, elements);
  }

  /** What the 16 codes of 4 bits stand for. */
  public static float[] levels() {
    float[] levels = new float[16];
    Nf4.LEVELS.scaled(1, levels);
    return levels;
  }

  /** What the 256 codes of scales stand for. */
  public static float[] scaleLevels() {
    float[] levels = new float[256];
    DynamicMap.LEVELS.scaled(1, levels);
    return levels;
  }

  /** Of the elements, in the order that the matrix had. */
  public ByteBuffer codes() {
    return all.packed();
  }

  /** Codes of the scales of blocks. */
  public ByteBuffer scales() {
    return all.scales().codes();
  }

  /** Of groups of 256 blocks. */
  public ByteBuffer ranges() {
    return all.scales().ranges();
  }

  /** Of the scales of all blocks. */
  public float mean() {
    return all.scales().mean();
  }

  @Override
  public void close() {
    all.free();
  }
}
