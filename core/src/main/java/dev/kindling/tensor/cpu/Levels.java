package dev.kindling.tensor.cpu;

/** Numbers that codes stand for, ascending, as many as a power of two; and the way back. */
final class Levels {
  private final float[] levels;
  private final float[] midpoints;

  Levels(float... levels) {
    this.levels = levels;
    this.midpoints = new float[levels.length - 1];
    for (int i = 0; i < midpoints.length; i++) {
      midpoints[i] = (levels[i] + levels[i + 1]) / 2;
    }
  }

  /** What a code stands for. */
  float of(int code) {
    return levels[code];
  }

  /** Times a factor, for all codes at once. */
  void scaled(float factor, float[] into) {
    for (int code = 0; code < levels.length; code++) {
      into[code] = levels[code] * factor;
    }
  }

  /** The code of the nearest, of a tie the lower: how many midpoints lie below. */
  int code(float x) {
    int code = 0;
    for (int step = levels.length / 2; step > 0; step /= 2) {
      code += x > midpoints[code + step - 1] ? step : 0;
    }
    return code;
  }
}
