package dev.kindling.tensor.cpu;

import dev.kindling.tensor.Tensor;
import java.nio.IntBuffer;
import java.util.Arrays;

/**
 * Mutable: rotates heads by position, with the cosines and sines of every position seen so far (at
 * 64 features a head 256 bytes each; to compute them anew would cost more than to rotate).
 */
final class Rotations {
  private double[] frequencies = new double[0];
  private float[][] cosines = new float[0][];
  private float[][] sines = new float[0][];
  private final Workers workers;
  private final Lines lines;

  Rotations(Workers workers, Lines lines) {
    this.workers = workers;
    this.lines = lines;
  }

  /** As {@code Backend.rope} says. */
  void rotate(Tensor x, IntBuffer positions, double[] byFrequencies, boolean backwards) {
    if (!Arrays.equals(frequencies, byFrequencies)) {
      frequencies = byFrequencies.clone();
      cosines = new float[0][];
      sines = new float[0][];
    }
    for (int n = 0; n < x.rows(); n++) {
      know(positions.get(n));
    }
    float sign = backwards ? -1 : 1;
    Elements all = Elements.of(x);
    workers.eachRow(x.rows(), (worker, n) -> rotate(all, n, positions.get(n), sign, worker, x));
  }

  private void rotate(Elements all, int n, int position, float sign, int worker, Tensor x) {
    int half = frequencies.length;
    int d = x.columns();
    float[] row = lines.first(worker, d);
    float[] into = lines.second(worker, d);
    float[] cos = cosines[position];
    float[] sin = sines[position];
    all.get(n * d, row, d);
    for (int head = 0; head < d; head += 2 * half) {
      for (int i = 0; i < half; i++) {
        float s = sign * sin[i];
        into[head + i] = row[head + i] * cos[i] - row[head + half + i] * s;
        into[head + half + i] = row[head + half + i] * cos[i] + row[head + i] * s;
      }
    }
    all.put(n * d, into, 0, d);
  }

  private void know(int position) {
    if (position >= cosines.length) {
      int more = Math.max(2 * cosines.length, position + 1);
      cosines = Arrays.copyOf(cosines, more);
      sines = Arrays.copyOf(sines, more);
    }
    if (cosines[position] == null) {
      cosines[position] = new float[frequencies.length];
      sines[position] = new float[frequencies.length];
      for (int i = 0; i < frequencies.length; i++) {
        double angle = position * frequencies[i];
        cosines[position][i] = (float) Math.cos(angle);
        sines[position][i] = (float) Math.sin(angle);
      }
    }
  }
}
