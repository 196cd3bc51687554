package dev.kindling.tensor;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * The oracle of coded matrices: every element and every scale by a search through all levels, from
 * the definitions in QLoRA (arXiv:2305.14314) and bitsandbytes. What is searched for is rounded to
 * fp32, as there; all else is float64. Shares nothing with the code under test but the 16 numbers
 * that bitsandbytes publishes.
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

  /** What the 16 codes stand for. */
  public static double[] nf4() {
    return NF4.clone();
  }

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
      float share = largest[i / 64] == 0 ? 0 : (float) (w[i] / largest[i / 64]);
      double level = storage == Storage.NF4 ? nearest(NF4, share) : Math.rint(127f * share) / 127;
      rounded[i] = level * scales[i / 64];
    }
    return rounded;
  }

  private static double[] roundedScales(double[] largest) {
    double sum = 0;
    for (double scale : largest) {
      sum += scale;
    }
    float mean = (float) (sum / largest.length);
    double[] map = dynamicMap();
    double[] scales = new double[largest.length];
    for (int from = 0; from < largest.length; from += 256) {
      float most = 0;
      for (int i = from; i < Math.min(from + 256, largest.length); i++) {
        most = Math.max(most, Math.abs((float) largest[i] - mean));
      }
      for (int i = from; i < Math.min(from + 256, largest.length); i++) {
        float off = (float) largest[i] - mean;
        scales[i] = mean + (most == 0 ? 0 : most * nearest(map, off / most));
      }
    }
    return scales;
  }

  /** Up to the middle of two, rounded to fp32, it is the first of them. */
  private static double nearest(double[] levels, float x) {
    for (int i = 0; i + 1 < levels.length; i++) {
      if (x <= (float) (((float) levels[i] + (double) (float) levels[i + 1]) / 2)) {
        return levels[i];
      }
    }
    return levels[levels.length - 1];
  }
}
