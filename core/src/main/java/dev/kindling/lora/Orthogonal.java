package dev.kindling.lora;

import dev.kindling.lora.Initialiser.Drawn;
import dev.kindling.lora.Initialiser.Pair;
import dev.kindling.tensor.Seeds;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;

/**
 * PEFT's {@code init_lora_weights="orthogonal"}: neither half is zero, so that both learn from the
 * first step, and B·A is. The rows of an orthogonal matrix [r, r] are dealt in turn to the two
 * halves; each half's ranks are a mixture of its own rows, by numbers from N(0, 0.1²), and so lie
 * across the other's. A rank of 1 has a row for A alone, and begins with B zero.
 */
final class Orthogonal implements Drawn {
  /** Of the numbers that mix: as PEFT has it. */
  private static final double DEVIATION = 0.1;

  @Override
  public Pair pair(long seed, int out, int in, int r) {
    DMatrixRMaj q = Dense.qr(normal(seed, "across", r, r, 1)).getQ(null, false);
    DMatrixRMaj a = new DMatrixRMaj(r, in);
    DMatrixRMaj b = new DMatrixRMaj(out, r);
    DMatrixRMaj even = every(q, 0);
    CommonOps_DDRM.multTransA(even, normal(seed, "a", even.numRows, in, DEVIATION), a);
    if (r > 1) {
      DMatrixRMaj odd = every(q, 1);
      CommonOps_DDRM.mult(normal(seed, "b", out, odd.numRows, DEVIATION), odd, b);
    }
    return new Pair(Dense.floats(a), Dense.floats(b));
  }

  @Override
  public boolean zeroB(int r) {
    return r == 1;
  }

  private static DMatrixRMaj normal(long seed, String what, int rows, int columns, double size) {
    return Dense.of(
        Seeds.normal(Seeds.of(seed, "orthogonal", what), rows * columns, size), rows, columns);
  }

  /** Each second row, from the given one on. */
  private static DMatrixRMaj every(DMatrixRMaj q, int first) {
    DMatrixRMaj rows = new DMatrixRMaj((q.numRows - first + 1) / 2, q.numCols);
    for (int i = 0; i < rows.numRows; i++) {
      CommonOps_DDRM.extract(q, first + 2 * i, first + 2 * i + 1, 0, q.numCols, rows, i, 0);
    }
    return rows;
  }
}
