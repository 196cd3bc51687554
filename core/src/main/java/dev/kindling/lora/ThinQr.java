package dev.kindling.lora;

import dev.kindling.lora.Initialiser.FromBase;
import dev.kindling.lora.Initialiser.Pair;
import java.util.Arrays;

/**
 * OLoRA (arXiv:2406.01775): of w = Q·R, B the first r columns of Q and A the first r rows of R,
 * with R's diagonal not negative, so that there is one answer. In double; by Gram and Schmidt's
 * method on the first r columns, each made orthogonal twice, which is as good as Householder's;
 * then A = Bᵀ·w. 4·out·in·r operations.
 */
final class ThinQr implements FromBase {
  /** Of a column's length, what is left of it if it depends on those before: rounding. */
  private static final double NOTHING = 1e-10;

  @Override
  public Pair pair(float[] w, int out, int in, int r) {
    double[][] q = new double[r][out];
    boolean[] dependent = new boolean[r];
    for (int k = 0; k < r; k++) {
      for (int i = 0; i < out; i++) {
        q[k][i] = w[i * in + k];
      }
      double length = norm(q[k]);
      double left = orthogonalise(q, k);
      dependent[k] = left <= NOTHING * length;
      // Then any direction will do, for R has 0 there: of the axes one keeps 1/√out at least.
      left = dependent[k] ? 0 : left;
      for (int axis = 0; dependent[k] && left < 0.5 / Math.sqrt(out); axis++) {
        Arrays.fill(q[k], 0);
        q[k][axis] = 1;
        left = orthogonalise(q, k);
      }
      for (int i = 0; i < out; i++) {
        q[k][i] /= left;
      }
    }
    float[] b = new float[out * r];
    double[] rows = new double[r * in];
    for (int i = 0; i < out; i++) {
      for (int k = 0; k < r; k++) {
        double along = q[k][i];
        b[i * r + k] = (float) along;
        for (int c = k; c < in; c++) { // before the diagonal there is only rounding
          rows[k * in + c] += along * w[i * in + c];
        }
      }
    }
    float[] a = new float[r * in];
    for (int k = 0; k < r; k++) {
      for (int c = k; c < in; c++) {
        a[k * in + c] = c == k && dependent[k] ? 0 : (float) rows[k * in + c];
      }
    }
    return new Pair(a, b);
  }

  /** Takes out of column k what lies along those before it; returns its length then. */
  private static double orthogonalise(double[][] q, int k) {
    for (int pass = 0; pass < 2; pass++) {
      for (int before = 0; before < k; before++) {
        double along = 0;
        for (int i = 0; i < q[k].length; i++) {
          along += q[before][i] * q[k][i];
        }
        for (int i = 0; i < q[k].length; i++) {
          q[k][i] -= along * q[before][i];
        }
      }
    }
    return norm(q[k]);
  }

  private static double norm(double[] x) {
    double squares = 0;
    for (double value : x) {
      squares += value * value;
    }
    return Math.sqrt(squares);
  }
}
