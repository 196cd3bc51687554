package dev.kindling.lora;

import dev.kindling.lora.Initialiser.FromBase;
import dev.kindling.lora.Initialiser.Pair;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.interfaces.decomposition.QRDecomposition;

/**
 * OLoRA (arXiv:2406.01775): of w = Q·R, B the first r columns of Q and A the first r rows of R,
 * with R's diagonal not negative, so that there is one answer. In double; the first r columns of w
 * decide Q's, then A = Bᵀ·w. 2·out·in·r + 4·out·r² operations.
 */
final class ThinQr implements FromBase {
  @Override
  public Pair pair(float[] w, int out, int in, int r, double scale) {
    DMatrixRMaj whole = Dense.of(w, out, in);
    DMatrixRMaj columns = CommonOps_DDRM.extract(whole, 0, out, 0, r);
    QRDecomposition<DMatrixRMaj> qr = Dense.qr(columns);
    DMatrixRMaj q = qr.getQ(null, true);
    DMatrixRMaj diagonal = qr.getR(null, true);
    for (int k = 0; k < r; k++) {
      if (diagonal.get(k, k) < 0) {
        Dense.flipColumn(q, k);
      }
    }
    DMatrixRMaj rows = new DMatrixRMaj(r, in);
    CommonOps_DDRM.multTransA(q, whole, rows);
    for (int k = 0; k < r; k++) {
      for (int c = 0; c < k; c++) {
        rows.set(k, c, 0); // there is only rounding
      }
    }
    return new Pair(Dense.floats(rows), Dense.floats(q));
  }
}
