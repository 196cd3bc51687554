package dev.kindling.tensor;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * The oracle of coded matrices: every element and every scale by a search through all levels, in
 * float64, from the definitions in QLoRA (arXiv:2305.14314) and bitsandbytes. Shares nothing with
 * the code under test but the 16 numbers that bitsandbytes publishes.
 */
public final class SlowCodes {
  private static final double[] NF4 = {
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0
  };

  private SlowCodes() {}

  /** The 256 levels of scales, ascending. */
  public static double[] dynamicMap() {
    List<Double> levels = new ArrayList<>(List.of(0.0, 1.0));
    for (int power = -6; power <= 0; power++) {
      int parts = 1 << (power + 6);
      for (int part = 0; part < parts; part++) {
        double middle = 0.1 + 0.9 * (part + 0.5) / parts;
        levels.add(middle * Math.pow(10, power));
        levels.add(-middle * Math.pow(10, power));
      }
    }
    Collections.sort(levels);
    return levels.stream().mapToDouble(d -> d).toArray();
  }

  /** The elements of a matrix, row by row, as its codes give them back. */
  public static double[] rounded(double[] w, Storage storage) {
    double[] largest = new double[(w.length + 63) / 64];
    for (int i = 0; i < w.length; i++) {
      largest[i / 64] = Math.max(largest[i / 64], Math.abs(w[i]));
    }
    double[] scales = roundedScales(largest);
    double[] rounded = new double[w.length];
    for (int i = 0; i < w.length; i++) {
      double share = largest[i / 64] == 0 ? 0 : w[i] / largest[i / 64];
      double level = storage == Storage.NF4 ? nearest(NF4, share) : Math.rint(127 * share) / 127;
      rounded[i] = level * scales[i / 64];
    }
    return rounded;
  }

  private static double[] roundedScales(double[] largest) {
    double mean = 0;
    for (double scale : largest) {
      mean += scale / largest.length;
    }
    double[] map = dynamicMap();
    double[] scales = new double[largest.length];
    for (int from = 0; from < largest.length; from += 256) {
      double most = 0;
      for (int i = from; i < Math.min(from + 256, largest.length); i++) {
        most = Math.max(most, Math.abs(largest[i] - mean));
      }
      for (int i = from; i < Math.min(from + 256, largest.length); i++) {
        scales[i] = mean + (most < 1e-9 ? 0 : most * nearest(map, (largest[i] - mean) / most));
      }
    }
    return scales;
  }

  /** Of two that are as near the first. */
  private static double nearest(double[] levels, double x) {
    double best = levels[0];
    for (double level : levels) {
      if (Math.abs(level - x) < Math.abs(best - x)) {
        best = level;
      }
    }
    return best;
  }
}
