package dev.kindling.tensor.nd4j;

import static dev.kindling.tensor.cpu.CpuMemory.floats;
import static dev.kindling.tensor.cpu.CpuMemory.halves;
import static dev.kindling.tensor.cpu.CpuMemory.pointer;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.jspecify.annotations.Nullable;

/**
 * Matrix products by the OpenBLAS that ND4J computes with, called directly: row-major, on parts of
 * matrices, and without an INDArray for each operand (12 µs each to make).
 *
 * <p>Frozen matrices that are kept in half width are widened by blocks of rows into a few megabytes
 * that stay in the cache, each block is multiplied, and the next one takes its place.
 */
final class Products {
  private static final int ROW_MAJOR = 101;
  private static final int PLAIN = 111;
  private static final int TRANSPOSED = 112;

  /** Elements of one widened block: 4 MiB. At 512 tokens widening costs about a tenth. */
  private static final long BLOCK = 1 << 20;

  private @Nullable Tensor block;

  /** Raw: BLAS packs it anew in each product. */
  record Frozen(Tensor w) implements FrozenMatrix {
    @Override
    public int out() {
      return w.rows();
    }

    @Override
    public int in() {
      return w.columns();
    }

    @Override
    public long bytes() {
      return w.elements() * w.type().bytes();
    }

    @Override
    public long scratchBytes() {
      return half() ? (long) blockRows(this) * in() * DType.F32.bytes() : 0;
    }

    private boolean half() {
      return w.type() != DType.F32;
    }

    /** Copies rows {@code from …} into {@code to} [rows, in], widened. */
    void widen(int from, int rows, FloatBuffer to) {
      int count = Math.multiplyExact(rows, in());
      ShortBuffer source = halves(w.slice((long) from * in(), rows, in()));
      StoredType type = w.type() == DType.BF16 ? StoredType.BF16 : StoredType.F16;
      for (int i = 0; i < count; i++) {
        to.put(i, type.widen(source.get(i)));
      }
    }
  }

  void matmul(Tensor a, boolean ta, Tensor b, boolean tb, double alpha, double beta, Tensor c) {
    int inner = ta ? a.rows() : a.columns();
    int rows = ta ? a.columns() : a.rows();
    int columns = tb ? b.rows() : b.columns();
    if (inner != (tb ? b.columns() : b.rows()) || rows != c.rows() || columns != c.columns()) {
      throw new IllegalArgumentException(
          "cannot multiply %s%s by %s%s into %s".formatted(a, ta ? "ᵀ" : "", b, tb ? "ᵀ" : "", c));
    }
    multiply(
        ta,
        tb,
        rows,
        columns,
        inner,
        alpha,
        pointer(a),
        a.columns(),
        pointer(b),
        b.columns(),
        beta,
        pointer(c),
        c.columns());
  }

  /** y [N, out] = x·wᵀ, or += with {@code accumulate}. */
  void linear(Tensor x, Frozen w, Tensor y, boolean accumulate) {
    if (!w.half()) {
      matmul(x, false, w.w(), true, 1, accumulate ? 1 : 0, y);
      return;
    }
    int step = blockRows(w);
    for (int from = 0; from < w.out(); from += step) {
      int rows = Math.min(step, w.out() - from);
      FloatPointer part = pointer(widened(w, from, rows));
      FloatPointer into = pointer(y).getPointer(FloatPointer.class, from); // columns from …
      multiply(
          false,
          true,
          x.rows(),
          rows,
          w.in(),
          1,
          pointer(x),
          w.in(),
          part,
          w.in(),
          accumulate ? 1 : 0,
          into,
          w.out());
    }
  }

  /** dx [N, in] = dy·w, or += with {@code accumulate}. */
  void linearBackward(Tensor dy, Frozen w, Tensor dx, boolean accumulate) {
    if (!w.half()) {
      matmul(dy, false, w.w(), false, 1, accumulate ? 1 : 0, dx);
      return;
    }
    int step = blockRows(w);
    for (int from = 0; from < w.out(); from += step) {
      int rows = Math.min(step, w.out() - from);
      FloatPointer part = pointer(widened(w, from, rows));
      FloatPointer above = pointer(dy).getPointer(FloatPointer.class, from);
      multiply(
          false,
          false,
          dy.rows(),
          w.in(),
          rows,
          1,
          above,
          w.out(),
          part,
          w.in(),
          accumulate || from > 0 ? 1 : 0,
          pointer(dx),
          w.in());
    }
  }

  private static int blockRows(Frozen w) {
    return (int) Math.max(1, Math.min(w.out(), BLOCK / w.in()));
  }

  private Tensor widened(Frozen w, int from, int rows) {
    long elements = (long) rows * w.in();
    if (block == null || block.elements() < elements) {
      close();
      block = CpuMemory.allocate(DType.F32, elements);
    }
    w.widen(from, rows, floats(block));
    return block;
  }

  private static void multiply(
      boolean ta,
      boolean tb,
      int rows,
      int columns,
      int inner,
      double alpha,
      FloatPointer a,
      int aColumns,
      FloatPointer b,
      int bColumns,
      double beta,
      FloatPointer c,
      int cColumns) {
    openblas_nolapack.cblas_sgemm(
        ROW_MAJOR,
        ta ? TRANSPOSED : PLAIN,
        tb ? TRANSPOSED : PLAIN,
        rows,
        columns,
        inner,
        (float) alpha,
        a,
        aColumns,
        b,
        bColumns,
        (float) beta,
        c,
        cColumns);
  }

  void close() {
    if (block != null) {
      CpuMemory.free(block);
      block = null;
    }
  }
}
