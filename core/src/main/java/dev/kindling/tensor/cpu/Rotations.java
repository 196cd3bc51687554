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
      turn(row, head, head + half, cos, sin, -sign, into);
      turn(row, head + half, head, cos, sin, sign, into);
    }
    all.put(n * d, into, 0, d);
  }

  /** A loop that stores once, which the compiler turns into vectors. */
  private static void turn(
      float[] row, int at, int other, float[] cos, float[] sin, float sign, float[] into) {
    for (int i = 0; i < cos.length; i++) {
      into[at + i] = row[at + i] * cos[i] + row[other + i] * (sign * sin[i]);
    }
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
