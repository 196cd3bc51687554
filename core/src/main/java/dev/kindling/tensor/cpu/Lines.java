package dev.kindling.tensor.cpu;

/**
 * Mutable: two rows of floats for each worker and one for all, which grow to the longest asked for
 * and stay.
 */
final class Lines {
  private final float[][] first;
  private final float[][] second;
  private float[] factors = new float[0];

  Lines(Workers workers) {
    this.first = new float[workers.count()][0];
    this.second = new float[workers.count()][0];
  }

  float[] first(int worker, int length) {
    return grown(first, worker, length);
  }

  float[] second(int worker, int length) {
    return grown(second, worker, length);
  }

  /** One row that all workers read. */
  float[] factors(int length) {
    if (factors.length < length) {
      factors = new float[length];
    }
    return factors;
  }

  private static float[] grown(float[][] lines, int worker, int length) {
    if (lines[worker].length < length) {
      lines[worker] = new float[length];
    }
    return lines[worker];
  }
}
