package dev.kindling.tensor.cpu;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/**
 * A scale for each block of a coded matrix, quantised itself (QLoRA's double quantisation): what it
 * is off the mean of all, as a share of the largest such difference among 256 of them, rounded to a
 * {@link DynamicMap}. A byte for each block of 64 elements, and 4 for 256 of these: 0.127 bits an
 * element instead of 0.5.
 */
final class Scales {
  private static final int GROUP = 256;

  private final float mean;
  private final Tensor codes;
  private final Tensor ranges;
  private final ByteBuffer code;
  private final FloatBuffer range;

  /**
   * @param largest magnitudes of the blocks
   */
  Scales(float[] largest) {
    double sum = 0;
    for (float scale : largest) {
      sum += scale;
    }
    mean = (float) (sum / Math.max(1, largest.length));
    codes = CpuMemory.allocate(DType.I8, largest.length);
    ranges = CpuMemory.allocate(DType.F32, groups(largest.length));
    code = CpuMemory.bytes(codes);
    range = CpuMemory.floats(ranges);
    for (int group = 0; group * GROUP < largest.length; group++) {
      encode(largest, group);
    }
  }

  private void encode(float[] largest, int group) {
    int from = group * GROUP;
    int end = Math.min(largest.length, from + GROUP);
    float most = 0;
    for (int block = from; block < end; block++) {
      most = Math.max(most, Math.abs(largest[block] - mean));
    }
    range.put(group, most);
    for (int block = from; block < end; block++) {
      float share = most == 0 ? 0 : (largest[block] - mean) / most;
      code.put(block, (byte) DynamicMap.LEVELS.code(share));
    }
  }

  /** The scale of a block, as it is decoded. */
  float of(int block) {
    return DynamicMap.LEVELS.of(code.get(block) & 255) * range.get(block / GROUP) + mean;
  }

  ByteBuffer codes() {
    return code.duplicate();
  }

  ByteBuffer ranges() {
    return CpuMemory.pointer(ranges).asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
  }

  float mean() {
    return mean;
  }

  /** Bytes of the scales of so many blocks. */
  static long bytes(long blocks) {
    return blocks + Float.BYTES * (groups(blocks) + 1);
  }

  private static long groups(long blocks) {
    return (blocks + GROUP - 1) / GROUP;
  }

  void free() {
    CpuMemory.free(codes);
    CpuMemory.free(ranges);
  }
}
