package dev.kindling.tensor.onednn;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CodedMatrix;
import dev.kindling.tensor.cpu.CodedMatrix.Piece;
import dev.kindling.tensor.cpu.CodedMatrix.Side;
import dev.kindling.tensor.cpu.Decoder;
import dev.kindling.tensor.cpu.Dither;
import dev.kindling.tensor.cpu.KeptMatrix;
import dev.kindling.tensor.cpu.Widening;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: products with frozen matrices, and the block that those of another type, or of codes,
 * are converted into.
 */
final class FrozenProducts implements AutoCloseable {
  private final Products products;
  private final Elementwise elementwise;
  private final Decoder decoder;
  private final Dither dither;
  private final Widening widening;
  private final boolean loops = !InstructionSet.widensBf16();
  private final Room block;
  private final Room rows;

  FrozenProducts(
      DType active,
      Products products,
      Elementwise elementwise,
      Decoder decoder,
      Dither dither,
      Widening widening) {
    this.products = products;
    this.elementwise = elementwise;
    this.decoder = decoder;
    this.dither = dither;
    this.widening = widening;
    this.rows = new Room(active);
    this.block = new Room(active);
  }

  /** y [N, out] = x·wᵀ + bias, or += with {@code accumulate}. */
  void forward(Tensor x, KeptMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    double beta = accumulate ? 1 : 0;
    Operand in = Operand.matrix(x);
    if (w.direct()) {
      linear(in, Operand.matrix(w.w()).turned(), bias, beta, Operand.matrix(y));
      return;
    }
    for (int from = 0; from < w.out(); from += w.blockRows()) {
      int rows = Math.min(w.blockRows(), w.out() - from);
      linear(
          in,
          converted(w, from, rows).turned(),
          bias == null ? null : bias.slice(from, rows),
          beta,
          Operand.columns(y, from, rows));
    }
  }

  /** y [N, out] = x·wᵀ + bias, or +=. */
  void forward(Tensor x, PackedMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    double beta = accumulate ? 1 : 0;
    linear(Operand.matrix(x), w.forward(elementwise), bias, beta, Operand.matrix(y));
  }

  /** dx [N, in] = dy·w, or +=. */
  void backward(Tensor dy, PackedMatrix w, Tensor dx, boolean accumulate) {
    products.multiply(
        Operand.matrix(dy), w.backward(elementwise), 1, accumulate ? 1 : 0, Operand.matrix(dx));
  }

  private void linear(Operand x, Operand w, @Nullable Tensor bias, double beta, Operand y) {
    if (bias == null) {
      products.multiply(x, w, 1, beta, y);
    } else {
      Operand row = Operand.dense(bias, 1, bias.elements());
      products.multiplyWithBias(x, w, row, beta, y);
    }
  }

  /**
   * y [N, ·] = x·wᵀ or x·w + bias, whatever has that side as its columns, or +=. Decoded by whole
   * rows of the codes an element takes 2.3 ns, in short parts of rows 5.9; so where the result's
   * columns lie across rows it is summed over them, unless it would be rounded each time.
   */
  void product(
      Tensor x, CodedMatrix w, Side side, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    if (w.wholeRows(side) || y.type() == DType.BF16) {
      byColumns(x, w, side, bias, y, accumulate);
    } else {
      byRows(x, w, side.other(), bias, y, accumulate);
    }
  }

  private void byRows(
      Tensor x, CodedMatrix w, Side summed, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    Operand into = Operand.matrix(y);
    for (int from = 0; from < w.columns(summed); from += w.step(summed)) {
      Piece piece = w.piece(summed, from);
      Operand part = Operand.columns(x, from, piece.count());
      boolean first = from == 0;
      linear(part, decoded(piece), first ? bias : null, !first || accumulate ? 1 : 0, into);
    }
  }

  private void byColumns(
      Tensor x, CodedMatrix w, Side side, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    Operand in = Operand.matrix(x);
    for (int from = 0; from < w.columns(side); from += w.step(side)) {
      Piece piece = w.piece(side, from);
      linear(
          in,
          decoded(piece).turnedIf(piece.transposed()),
          bias == null ? null : bias.slice(from, piece.count()),
          accumulate ? 1 : 0,
          Operand.columns(y, from, piece.count()));
    }
  }

  /** into [out, in] = w + scale · b·a; in BF16 by {@link Dither}. */
  void merge(CodedMatrix w, Tensor b, Tensor a, double scale, Tensor into) {
    boolean half = into.type() == DType.BF16;
    if (half) {
      products.multiply(Operand.matrix(b), Operand.matrix(a), scale, 0, Operand.matrix(into));
    }
    for (int from = 0; from < w.out(); from += w.step(Side.OUT)) {
      Piece piece = w.piece(Side.OUT, from);
      Tensor target = into.slice((long) from * w.in(), piece.count(), w.in());
      Tensor part = half ? rows.of(w.pieceElements()) : target;
      if (piece.transposed()) {
        decoder.decode(piece, part);
      } else {
        elementwise.copy(decoded(piece).turned(), Operand.dense(part, piece.count(), w.in()));
      }
      if (half) {
        dither.add(part.slice(0, piece.count(), w.in()), target);
      }
    }
    if (!half) {
      products.multiply(Operand.matrix(b), Operand.matrix(a), scale, 1, Operand.matrix(into));
    }
  }

  private Operand decoded(Piece piece) {
    Tensor room = block.of(piece.w().pieceElements());
    decoder.decode(piece, room);
    return Operand.dense(room, piece.rows(), piece.columns());
  }

  /** into [out, in] = w + scale · b·a; of two BF16 by {@link Dither}. */
  void merge(KeptMatrix w, Tensor b, Tensor a, double scale, Tensor into) {
    Operand whole = Operand.matrix(w.w());
    if (w.direct() && into.type() == DType.BF16) {
      products.multiply(Operand.matrix(b), Operand.matrix(a), scale, 0, Operand.matrix(into));
      dither.add(w.w(), into);
      return;
    }
    if (w.direct()) {
      products.multiplyAndAdd(
          Operand.matrix(b), Operand.matrix(a), scale, whole, Operand.matrix(into));
      return;
    }
    elementwise.copy(whole, Operand.matrix(into));
    products.multiply(Operand.matrix(b), Operand.matrix(a), scale, 1, Operand.matrix(into));
  }

  /** dx [N, in] = dy·w, or += with {@code accumulate}. */
  void backward(Tensor dy, KeptMatrix w, Tensor dx, boolean accumulate) {
    Operand below = Operand.matrix(dx);
    if (w.direct()) {
      products.multiply(Operand.matrix(dy), Operand.matrix(w.w()), 1, accumulate ? 1 : 0, below);
      return;
    }
    for (int from = 0; from < w.out(); from += w.blockRows()) {
      int rows = Math.min(w.blockRows(), w.out() - from);
      products.multiply(
          Operand.columns(dy, from, rows),
          converted(w, from, rows),
          1,
          accumulate || from > 0 ? 1 : 0,
          below);
    }
  }

  private Operand converted(KeptMatrix w, int from, int rows) {
    Tensor part = w.part(from, rows);
    Tensor room = block.of(w.blockElements());
    Operand to = Operand.dense(room, rows, w.in());
    if (loops && part.type() == DType.BF16 && room.type() == DType.F32) {
      widening.widen(part, room);
    } else {
      elementwise.copy(Operand.matrix(part), to);
    }
    return to;
  }

  @Override
  public void close() {
    block.close();
    rows.close();
  }
}
