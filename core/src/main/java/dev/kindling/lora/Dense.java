package dev.kindling.lora;

import org.ejml.data.DMatrixRMaj;

/** Weights as matrices of doubles, to be factored on the driver. */
final class Dense {
  private Dense() {}

  /** w [rows, columns]. */
  static DMatrixRMaj of(float[] w, int rows, int columns) {
    DMatrixRMaj matrix = new DMatrixRMaj(rows, columns);
    for (int i = 0; i < w.length; i++) {
      matrix.data[i] = w[i];
    }
    return matrix;
  }

  /** The same, rounded. */
  static float[] floats(DMatrixRMaj matrix) {
    float[] values = new float[matrix.getNumElements()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) matrix.data[i];
    }
    return values;
  }

  /** x[:, k] = −x[:, k]. */
  static void flipColumn(DMatrixRMaj x, int k) {
    for (int i = 0; i < x.numRows; i++) {
      x.set(i, k, -x.get(i, k));
    }
  }
}
