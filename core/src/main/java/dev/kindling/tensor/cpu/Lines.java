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

  /** Four partial sums, which a processor adds side by side; the order is always the same. */
  static float dot(float[] a, float[] b, int d) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    int c = 0;
    for (; c + 4 <= d; c += 4) {
      s0 += a[c] * b[c];
      s1 += a[c + 1] * b[c + 1];
      s2 += a[c + 2] * b[c + 2];
      s3 += a[c + 3] * b[c + 3];
    }
    for (; c < d; c++) {
      s0 += a[c] * b[c];
    }
    return (s0 + s1) + (s2 + s3);
  }
}
