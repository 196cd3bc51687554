package dev.kindling.tensor.nd4j;

import dev.kindling.tensor.Seeds;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;

/** Loops that copy, add or drop rows of row-major matrices. */
final class Rows {
  private Rows() {}

  /** Moves element {@code from} to {@code to}. */
  interface Move {
    void element(int from, int to);
  }

  static void transpose(int rows, int columns, Move move) {
    for (int row = 0; row < rows; row++) {
      for (int c = 0; c < columns; c++) {
        move.element(row * columns + c, c * rows + row);
      }
    }
  }

  static void gather(IntBuffer rows, FloatBuffer x, FloatBuffer out, int count, int columns) {
    for (int m = 0; m < count; m++) {
      out.put(m * columns, x, Math.multiplyExact(rows.get(m), columns), columns);
    }
  }

  static void scatterAdd(IntBuffer rows, FloatBuffer dy, FloatBuffer dx, int count, int columns) {
    for (int m = 0; m < count; m++) {
      int to = rows.get(m) * columns;
      int from = m * columns;
      for (int c = 0; c < columns; c++) {
        dx.put(to + c, dx.get(to + c) + dy.get(from + c));
      }
    }
  }

  static void addToEach(FloatBuffer y, FloatBuffer bias, int rows, int columns) {
    for (int row = 0; row < rows; row++) {
      int at = row * columns;
      for (int c = 0; c < columns; c++) {
        y.put(at + c, y.get(at + c) + bias.get(c));
      }
    }
  }

  static void sum(FloatBuffer dy, FloatBuffer db, int rows, int columns, boolean accumulate) {
    for (int c = 0; c < columns; c++) {
      double total = accumulate ? db.get(c) : 0;
      for (int row = 0; row < rows; row++) {
        total += dy.get(row * columns + c);
      }
      db.put(c, (float) total);
    }
  }

  static void rope(
      FloatBuffer x,
      IntBuffer positions,
      double[] frequencies,
      boolean backwards,
      int rows,
      int columns) {
    int half = frequencies.length;
    float[] cos = new float[half];
    float[] sin = new float[half];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < half; i++) {
        double angle = positions.get(row) * frequencies[i];
        cos[i] = (float) Math.cos(angle);
        sin[i] = (float) (backwards ? -Math.sin(angle) : Math.sin(angle));
      }
      for (int at = row * columns; at < (row + 1) * columns; at += 2 * half) {
        for (int i = 0; i < half; i++) {
          float a = x.get(at + i);
          float b = x.get(at + half + i);
          x.put(at + i, a * cos[i] - b * sin[i]);
          x.put(at + half + i, b * cos[i] + a * sin[i]);
        }
      }
    }
  }

  /** Element (row, c) survives iff the upper 53 bits of its hash, as a share of 1, reach rate. */
  static void dropout(
      FloatBuffer x,
      LongBuffer keys,
      long layer,
      double rate,
      FloatBuffer y,
      int rows,
      int columns) {
    float scale = (float) (1 / (1 - rate));
    for (int row = 0; row < rows; row++) {
      long key = Seeds.mix(keys.get(row), layer);
      int at = row * columns;
      for (int c = 0; c < columns; c++) {
        boolean keep = (Seeds.mix(key, c) >>> 11) * 0x1p-53 >= rate;
        y.put(at + c, keep ? x.get(at + c) * scale : 0f);
      }
    }
  }
}
