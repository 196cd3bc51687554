package dev.kindling.tensor;

import org.bytedeco.javacpp.indexer.HalfIndexer;

/** Element types in which checkpoints store weights. Little-endian. */
public enum StoredType {
  /** IEEE single precision. */
  F32(4, DType.F32),
  /** IEEE half precision. */
  F16(2, DType.F16),
  /** The upper half of an IEEE single. */
  BF16(2, DType.BF16);

  private final int bytes;
  private final DType kept;

  StoredType(int bytes, DType kept) {
    this.bytes = bytes;
    this.kept = kept;
  }

  /** The type of a tensor that keeps such elements as they are. */
  public DType kept() {
    return kept;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** The value of a stored half-width word. */
  public float widen(short word) {
    return switch (this) {
      case BF16 -> Float.intBitsToFloat(word << 16);
      case F16 -> halfToFloat(word);
      case F32 -> throw new IllegalStateException("F32 needs no widening");
    };
  }

  /** The nearest half-width word; NaN stays NaN. Of ties BF16 takes the even one. */
  public short narrow(float value) {
    if (this == F16) {
      return (short) HalfIndexer.fromFloat(value);
    }
    if (this == F32) {
      throw new IllegalStateException("F32 needs no rounding");
    }
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) ((bits >>> 16) | 0x40);
    }
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }

  /** Exact: every half is a float. JDK 20 has this as Float.float16ToFloat; we run on 17. */
  private static float halfToFloat(short word) {
    int sign = (word & 0x8000) << 16;
    int exponent = (word >> 10) & 0x1f;
    int fraction = word & 0x3ff;
    if (exponent == 0x1f) {
      return Float.intBitsToFloat(sign | 0x7f800000 | fraction << 13);
    }
    if (exponent == 0) {
      float magnitude = fraction * 0x1p-24f;
      return sign == 0 ? magnitude : -magnitude;
    }
    return Float.intBitsToFloat(sign | (exponent + 112) << 23 | fraction << 13);
  }
}
