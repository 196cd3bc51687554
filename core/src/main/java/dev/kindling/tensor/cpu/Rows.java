package dev.kindling.tensor.cpu;

import dev.kindling.tensor.Seeds;
import java.nio.IntBuffer;

/** Loops that copy, add or drop rows of row-major matrices. */
final class Rows {
  private Rows() {}

  static void transpose(Elements x, Elements y, int rows, int columns) {
    for (int row = 0; row < rows; row++) {
      for (int c = 0; c < columns; c++) {
        y.copy(c * rows + row, x, row * columns + c, 1);
      }
    }
  }

  static void gather(IntBuffer rows, Elements x, Elements out, int count, int columns) {
    for (int m = 0; m < count; m++) {
      out.copy(m * columns, x, Math.multiplyExact(rows.get(m), columns), columns);
    }
  }

  static void scatterAdd(IntBuffer rows, Elements dy, Elements dx, int count, int columns) {
    if (dx instanceof Elements.Words) {
      scatterRounded(rows, dy, dx, count, columns);
      return;
    }
    for (int m = 0; m < count; m++) {
      int to = rows.get(m) * columns;
      int from = m * columns;
      for (int c = 0; c < columns; c++) {
        dx.put(to + c, dx.get(to + c) + dy.get(from + c));
      }
    }
  }

  /** In half width each row is summed in float and rounded once, where it is first named. */
  private static void scatterRounded(
      IntBuffer rows, Elements dy, Elements dx, int count, int columns) {
    float[] sum = new float[columns];
    for (int m = 0; m < count; m++) {
      int row = rows.get(m);
      boolean done = false;
      for (int k = 0; k < m && !done; k++) {
        done = rows.get(k) == row;
      }
      if (done) {
        continue;
      }
      dx.get(row * columns, sum, columns);
      for (int n = m; n < count; n++) {
        for (int c = 0; rows.get(n) == row && c < columns; c++) {
          sum[c] += dy.get(n * columns + c);
        }
      }
      dx.put(row * columns, sum, 0, columns);
    }
  }

  static void addToEach(Elements y, Elements bias, int rows, int columns) {
    for (int row = 0; row < rows; row++) {
      int at = row * columns;
      for (int c = 0; c < columns; c++) {
        y.put(at + c, y.get(at + c) + bias.get(c));
      }
    }
  }

  static void sum(Elements dy, Elements db, int rows, int columns, boolean accumulate) {
    for (int c = 0; c < columns; c++) {
      double total = accumulate ? db.get(c) : 0;
      for (int row = 0; row < rows; row++) {
        total += dy.get(row * columns + c);
      }
      db.put(c, (float) total);
    }
  }

  /** Element c of a row survives iff the upper 53 bits of its hash, as a share of 1, reach rate. */
  static void dropout(Elements x, long key, double rate, Elements y, int row, int columns) {
    float scale = (float) (1 / (1 - rate));
    int at = row * columns;
    for (int c = 0; c < columns; c++) {
      boolean keep = (Seeds.mix(key, c) >>> 11) * 0x1p-53 >= rate;
      y.put(at + c, keep ? x.get(at + c) * scale : 0f);
    }
  }
}
