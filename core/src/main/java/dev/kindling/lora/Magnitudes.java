package dev.kindling.lora;

import org.ejml.data.DMatrixRMaj;

/** Lengths of the rows of weights (DoRA, arXiv:2402.09353). */
public final class Magnitudes {
  private Magnitudes() {}

  /**
   * Where they begin, [out].
   *
   * @param w [out, in]
   */
  public static float[] of(float[] w, int out) {
    DMatrixRMaj matrix = Dense.of(w, out, w.length / out);
    float[] lengths = new float[out];
    for (int row = 0; row < out; row++) {
      lengths[row] = (float) length(matrix, row);
    }
    return lengths;
  }

  /** Gives each row of a weight [out, in] the length that {@code values[from + row]} says. */
  public static void give(float[] values, int from, DMatrixRMaj weight) {
    for (int row = 0; row < weight.numRows; row++) {
      double factor = values[from + row] / Math.max(Float.MIN_NORMAL, length(weight, row));
      for (int c = 0; c < weight.numCols; c++) {
        weight.set(row, c, weight.get(row, c) * factor);
      }
    }
  }

  private static double length(DMatrixRMaj matrix, int row) {
    double sum = 0;
    for (int c = 0; c < matrix.numCols; c++) {
      sum += matrix.get(row, c) * matrix.get(row, c);
    }
    return Math.sqrt(sum);
  }
}
