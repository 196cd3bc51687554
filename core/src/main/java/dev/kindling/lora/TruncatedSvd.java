package dev.kindling.lora;

import dev.kindling.lora.Initialiser.FromBase;
import dev.kindling.lora.Initialiser.Pair;
import dev.kindling.tensor.Seeds;
import java.util.Arrays;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.SingularOps_DDRM;
import org.ejml.interfaces.decomposition.SingularValueDecomposition_F64;

/**
 * PiSSA (arXiv:2404.02948): of w = U·S·Vᵀ with the largest r singular values, B = U·√(S/s) and A =
 * √(S/s)·Vᵀ, so that s·B·A is the best approximation of w of rank r; each column of U has its
 * largest element positive, so that there is one answer.
 *
 * <p>In double, by subspace iteration from a drawn start (Halko, Martinsson, Tropp,
 * arXiv:0909.4061): k columns, k a little more than r, are multiplied by w·wᵀ and made orthonormal
 * again until what they hold of w's squares no longer grows. 4·out·in·k operations each time, where
 * a whole decomposition takes some ten times out·in·min(out, in). Where k is all there is, that is
 * one.
 */
final class TruncatedSvd implements FromBase {
  /** Columns beyond r: the more, the sooner the first r stand still. */
  private static final int BEYOND = 16;

  /** Share by which the squares held must grow for another pass to be worth it. */
  private static final double GROWTH = 1e-7;

  private static final int MOST_PASSES = 64;

  @Override
  public Pair pair(float[] w, int out, int in, int r, double scale) {
    DMatrixRMaj whole = Dense.of(w, out, in);
    int k = Math.min(r + BEYOND, Math.min(out, in));
    DMatrixRMaj q = range(whole, r, k);
    DMatrixRMaj small = new DMatrixRMaj(k, in);
    CommonOps_DDRM.multTransA(q, whole, small);
    SingularValueDecomposition_F64<DMatrixRMaj> svd = Dense.svd(small, true);
    DMatrixRMaj u = svd.getU(null, false);
    DMatrixRMaj v = svd.getV(null, true); // [k, in]
    double[] values = svd.getSingularValues();
    SingularOps_DDRM.descendingOrder(u, false, values, k, v, true);
    DMatrixRMaj left = new DMatrixRMaj(out, u.numCols);
    CommonOps_DDRM.mult(q, u, left);
    DMatrixRMaj b = new DMatrixRMaj(out, r);
    DMatrixRMaj a = new DMatrixRMaj(r, in);
    for (int c = 0; c < r; c++) {
      double size = Math.sqrt(values[c] / scale) * (largest(left, c) < 0 ? -1 : 1);
      for (int i = 0; i < out; i++) {
        b.set(i, c, size * left.get(i, c));
      }
      for (int i = 0; i < in; i++) {
        a.set(c, i, size * v.get(c, i));
      }
    }
    return new Pair(Dense.floats(a), Dense.floats(b));
  }

  /** Orthonormal columns [out, k] whose first r directions hold what the best r would. */
  private static DMatrixRMaj range(DMatrixRMaj w, int r, int k) {
    double[] drawn = new double[w.numCols * k];
    float[] normal = Seeds.normal(Seeds.of(0, "svd", 0), drawn.length, 1);
    for (int i = 0; i < drawn.length; i++) {
      drawn[i] = normal[i];
    }
    DMatrixRMaj start = DMatrixRMaj.wrap(w.numCols, k, drawn);
    DMatrixRMaj y = new DMatrixRMaj(w.numRows, k);
    DMatrixRMaj z = new DMatrixRMaj(w.numCols, k);
    CommonOps_DDRM.mult(w, start, y);
    DMatrixRMaj q = orthonormal(y);
    double before = 0;
    for (int pass = 0; pass < MOST_PASSES && k < Math.min(w.numRows, w.numCols); pass++) {
      CommonOps_DDRM.multTransA(w, q, z);
      double held = squares(z, r);
      if (held <= before * (1 + GROWTH)) {
        break;
      }
      before = held;
      CommonOps_DDRM.mult(w, orthonormal(z), y);
      q = orthonormal(y);
    }
    return q;
  }

  /** The largest r squared singular values of z, summed: what r of its columns' directions hold. */
  private static double squares(DMatrixRMaj z, int r) {
    double[] values = Dense.svd(z, false).getSingularValues().clone();
    Arrays.sort(values);
    double sum = 0;
    for (int i = values.length - r; i < values.length; i++) {
      sum += values[i] * values[i];
    }
    return sum;
  }

  private static DMatrixRMaj orthonormal(DMatrixRMaj x) {
    return Dense.qr(x).getQ(null, true);
  }

  private static double largest(DMatrixRMaj x, int column) {
    double most = 0;
    for (int i = 0; i < x.numRows; i++) {
      double value = x.get(i, column);
      most = Math.abs(value) > Math.abs(most) ? value : most;
    }
    return most;
  }
}
