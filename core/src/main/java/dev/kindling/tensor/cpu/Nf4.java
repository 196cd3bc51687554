package dev.kindling.tensor.cpu;

import dev.kindling.tensor.StoredType;

/**
 * NormalFloat of 4 bits (Dettmers et al., arXiv:2305.14314): the nearest of 16 levels to w / scale,
 * a tie to the lower one, two codes to a byte, the element with the even index in the upper half.
 * Levels are bitsandbytes' own, quantiles of a normal distribution; of N(0, 1) in blocks of 64 the
 * error has 0.0920 of the values' root mean square, and at most 0.1519 of the scale, half the
 * widest gap.
 *
 * <p>Mutable: holds the levels times the scale of the block that is decoded, in which all 64
 * elements are looked up.
 */
final class Nf4 implements Coding {
  static final Levels LEVELS =
      new Levels(
          -1.0f,
          -0.6961928f,
          -0.52507305f,
          -0.3949175f,
          -0.28444138f,
          -0.18477343f,
          -0.091050036f,
          0.0f,
          0.0795803f,
          0.1609302f,
          0.2461123f,
          0.33791524f,
          0.44070983f,
          0.562617f,
          0.72295684f,
          1.0f);

  private static final int CODES = 16;

  private final float[] floats = new float[CODES];
  private final short[] halves = new short[CODES];

  @Override
  public int perByte() {
    return 2;
  }

  @Override
  public void encode(float[] w, int from, int count, float scale, byte[] packed, int at) {
    float divisor = scale == 0 ? 1 : scale;
    for (int i = 0; i < count; i += 2) {
      int upper = LEVELS.code(w[from + i] / divisor);
      int lower = i + 1 < count ? LEVELS.code(w[from + i + 1] / divisor) : 0;
      packed[(at + i) / 2] = (byte) (upper << 4 | lower);
    }
  }

  @Override
  public void unpack(byte[] packed, int first, int count, byte[] codes) {
    int i = 0;
    int from = first / 2;
    if (first % 2 == 1 && count > 0) {
      codes[i++] = (byte) (packed[from++] & 15);
    }
    for (; i + 1 < count; i += 2) {
      byte two = packed[from++];
      codes[i] = (byte) (two >> 4 & 15);
      codes[i + 1] = (byte) (two & 15);
    }
    if (i < count) {
      codes[i] = (byte) (packed[from] >> 4 & 15);
    }
  }

  @Override
  public void decode(byte[] codes, int from, int count, float scale, float[] into) {
    float[] scaled = floats;
    LEVELS.scaled(scale, scaled);
    for (int i = from; i < from + count; i++) {
      into[i] = scaled[codes[i]];
    }
  }

  @Override
  public void decode(byte[] codes, int from, int count, float scale, short[] into) {
    short[] scaled = halves;
    LEVELS.scaled(scale, floats);
    for (int code = 0; code < CODES; code++) {
      scaled[code] = StoredType.BF16.narrow(floats[code]);
    }
    for (int i = from; i < from + count; i++) {
      into[i] = scaled[codes[i]];
    }
  }
}
