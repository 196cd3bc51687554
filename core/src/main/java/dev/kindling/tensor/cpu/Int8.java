package dev.kindling.tensor.cpu;

import dev.kindling.tensor.StoredType;

/**
 * Whole numbers from −127 to 127 times scale / 127, the nearest one, ties to even: symmetric, so
 * that zero is exact. In blocks of 64 with scales as {@link Nf4}'s, rather than with one scale for
 * a whole output feature: a weight far from all others spoils 63 neighbours, not thousands. Of N(0,
 * 1) the error has 0.0063 of the values' root mean square (0.0055 if scales were not rounded
 * themselves, for 0.37 bits an element more); with its scale a weight is off by scale / 254 at
 * most.
 */
final class Int8 implements Coding {
  private static final int MOST = 127;

  @Override
  public int perByte() {
    return 1;
  }

  @Override
  public void encode(float[] w, int from, int count, float scale, byte[] packed, int at) {
    float divisor = scale == 0 ? 1 : scale;
    for (int i = 0; i < count; i++) {
      packed[at + i] = (byte) Math.rint(w[from + i] / divisor * MOST);
    }
  }

  @Override
  public void unpack(byte[] packed, int first, int count, byte[] codes) {
    System.arraycopy(packed, first, codes, 0, count);
  }

  @Override
  public void decode(byte[] codes, int from, int count, float scale, float[] into) {
    float step = scale / MOST;
    for (int i = from; i < from + count; i++) {
      into[i] = codes[i] * step;
    }
  }

  @Override
  public void decode(byte[] codes, int from, int count, float scale, short[] into) {
    float step = scale / MOST;
    for (int i = from; i < from + count; i++) {
      into[i] = StoredType.BF16.narrow(codes[i] * step);
    }
  }
}
