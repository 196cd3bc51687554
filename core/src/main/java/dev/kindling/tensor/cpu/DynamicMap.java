package dev.kindling.tensor.cpu;

import java.util.Arrays;

/**
 * The 256 levels that scales are rounded to: bitsandbytes' {@code create_dynamic_map(signed=True,
 * max_exponent_bits=7, total_bits=8)} (Dettmers, arXiv:1511.04561). Of both signs, for each power
 * 10⁻⁶ … 10⁰ the middles of 1, 2, 4 … 64 equal parts of [0.1, 1] times the power; zero; and one.
 */
final class DynamicMap {
  private static final int POWERS = 7;

  /** From −0.993 to 1. */
  static final Levels LEVELS = new Levels(levels());

  private DynamicMap() {}

  private static float[] levels() {
    float[] levels = new float[1 << (POWERS + 1)];
    int n = 0;
    for (int power = 0; power < POWERS; power++) {
      int parts = 1 << power;
      float unit = (float) Math.pow(10, power - POWERS + 1);
      for (int part = 0; part < parts; part++) {
        float middle = unit * ((boundary(part, parts) + boundary(part + 1, parts)) / 2);
        levels[n++] = middle;
        levels[n++] = -middle;
      }
    }
    levels[n] = 1; // and the last one is zero
    Arrays.sort(levels);
    return levels;
  }

  /** As torch.linspace rounds in fp32: from the nearer end. */
  private static float boundary(int part, int parts) {
    float step = (1 - 0.1f) / parts;
    return part < (parts + 1) / 2 ? 0.1f + step * part : 1 - step * (parts - part);
  }
}
