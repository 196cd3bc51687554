package dev.kindling.tensor.cpu;

/** Mutable: two rows of floats for each worker, which grow to the longest asked for and stay. */
final class Lines {
  private final float[][] first;
  private final float[][] second;

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

  private static float[] grown(float[][] lines, int worker, int length) {
    if (lines[worker].length < length) {
      lines[worker] = new float[length];
    }
    return lines[worker];
  }
}
