package dev.kindling.lora;

import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.QRDecomposition;
import org.ejml.interfaces.decomposition.SingularValueDecomposition_F64;

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

  /**
   * Orthonormal columns [rows, columns] whose first k hold the first k columns of x, all of x's.
   */
  static QRDecomposition<DMatrixRMaj> qr(DMatrixRMaj x) {
    QRDecomposition<DMatrixRMaj> qr = DecompositionFactory_DDRM.qr(x.numRows, x.numCols);
    qr.decompose(x.copy()); // false where columns depend on others, for which it has directions too
    return qr;
  }

  /**
   * Singular values of x.
   *
   * @param vectors whether with them
   * @throws ArithmeticException if they are not found, as of a matrix with NaN
   */
  static SingularValueDecomposition_F64<DMatrixRMaj> svd(DMatrixRMaj x, boolean vectors) {
    SingularValueDecomposition_F64<DMatrixRMaj> svd =
        DecompositionFactory_DDRM.svd(x.numRows, x.numCols, vectors, vectors, true);
    if (!svd.decompose(x.copy())) {
      throw new ArithmeticException(
          "%d × %d has singular values that do not converge".formatted(x.numRows, x.numCols));
    }
    return svd;
  }

  /** x[:, k] = −x[:, k]. */
  static void flipColumn(DMatrixRMaj x, int k) {
    for (int i = 0; i < x.numRows; i++) {
      x.set(i, k, -x.get(i, k));
    }
  }
}
