package dev.kindling.tensor.nd4j;

import static dev.kindling.tensor.cpu.CpuMemory.floats;
import static dev.kindling.tensor.cpu.CpuMemory.halves;
import static dev.kindling.tensor.cpu.CpuMemory.pointer;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CodedMatrix;
import dev.kindling.tensor.cpu.CodedMatrix.Piece;
import dev.kindling.tensor.cpu.CodedMatrix.Side;
import dev.kindling.tensor.cpu.CpuMemory;
import dev.kindling.tensor.cpu.Decoder;
import dev.kindling.tensor.cpu.KeptMatrix;
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
 * that stay in the cache, each block is multiplied, and the next one takes its place; so are codes.
 */
final class Products {
  private static final int ROW_MAJOR = 101;
  private static final int PLAIN = 111;
  private static final int TRANSPOSED = 112;

  private final Decoder decoder;
  private @Nullable Tensor block;

  Products(Decoder decoder) {
    this.decoder = decoder;
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
  void linear(Tensor x, KeptMatrix w, Tensor y, boolean accumulate) {
    if (w.direct()) {
      matmul(x, false, w.w(), true, 1, accumulate ? 1 : 0, y);
      return;
    }
    int step = w.blockRows();
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
  void linearBackward(Tensor dy, KeptMatrix w, Tensor dx, boolean accumulate) {
    if (w.direct()) {
      matmul(dy, false, w.w(), false, 1, accumulate ? 1 : 0, dx);
      return;
    }
    int step = w.blockRows();
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

  /** result [N, ·] = x·wᵀ or x·w, whatever has that side as its columns, or +=. */
  void product(Tensor x, CodedMatrix w, Side side, Tensor result, boolean accumulate) {
    for (int from = 0; from < w.columns(side); from += w.step(side)) {
      Piece piece = w.piece(side, from);
      Tensor part = room(w.pieceElements());
      decoder.decode(piece, part);
      multiply(
          false,
          piece.transposed(),
          x.rows(),
          piece.count(),
          x.columns(),
          1,
          pointer(x),
          x.columns(),
          pointer(part),
          piece.columns(),
          accumulate ? 1 : 0,
          pointer(result).getPointer(FloatPointer.class, from), // columns from …
          result.columns());
    }
  }

  /** into [out, in] = w. */
  void decode(CodedMatrix w, Tensor into) {
    for (int from = 0; from < w.out(); from += w.step(Side.OUT)) {
      Piece piece = w.piece(Side.OUT, from);
      Tensor rows = into.slice((long) from * w.in(), piece.count(), w.in());
      if (piece.transposed()) {
        decoder.decode(piece, rows);
        continue;
      }
      Tensor part = room(w.pieceElements());
      decoder.decode(piece, part);
      FloatBuffer source = floats(part);
      FloatBuffer target = floats(rows);
      for (int i = 0; i < piece.rows(); i++) {
        for (int o = 0; o < piece.count(); o++) {
          target.put(o * w.in() + i, source.get(i * piece.count() + o));
        }
      }
    }
  }

  private Tensor room(long elements) {
    if (block == null || block.elements() < elements) {
      close();
      block = CpuMemory.allocate(DType.F32, elements);
    }
    return block;
  }

  private Tensor widened(KeptMatrix w, int from, int rows) {
    Tensor widened = room(w.blockElements());
    ShortBuffer source = halves(w.part(from, rows));
    FloatBuffer to = floats(widened);
    StoredType type = w.w().type() == DType.BF16 ? StoredType.BF16 : StoredType.F16;
    for (int i = 0, n = Math.multiplyExact(rows, w.in()); i < n; i++) {
      to.put(i, type.widen(source.get(i)));
    }
    return widened;
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
