package dev.kindling.tensor.cpu;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: a matrix w [out, in] as codes of its elements in the order of the file that it came
 * from; empty until {@link #code}, and again after {@link #release}. For each product it is decoded
 * piece by piece into a few megabytes that stay in the cache: as much as gives some columns of the
 * result, or as much as adds to all of them.
 */
public final class CodedMatrix implements FrozenMatrix {
  /** Elements of a piece: 4 MiB of F32, as {@link KeptMatrix} converts at once. */
  private static final long PIECE = 1 << 20;

  /** Columns of a product come in multiples of it where there are as many. */
  private static final int ROUND = 64;

  private final Storage storage;
  private final boolean turned;
  private final int out;
  private final int in;
  private final DType active;
  private @Nullable Codes codes;

  CodedMatrix(Storage storage, boolean turned, int out, int in, DType active) {
    this.storage = storage;
    this.turned = turned;
    this.out = out;
    this.in = in;
    this.active = active;
  }

  /** Which features are the columns of a product's result. */
  public enum Side {
    /** Output features: y [N, out] = x·wᵀ. */
    OUT,
    /** Input features: dx [N, in] = dy·w. */
    IN;

    /** That of the product's other operand. */
    public Side other() {
      return this == OUT ? IN : OUT;
    }
  }

  /**
   * What of w gives columns {@code from …} of a product, as it lies decoded: a dense matrix.
   *
   * @param rows of it
   * @param columns of it
   * @param transposed whether its rows are the product's columns, rather than its columns
   * @param start first element in the order of the codes
   * @param stride elements from one row to the next there
   */
  public record Piece(
      CodedMatrix w,
      int from,
      int count,
      int rows,
      int columns,
      boolean transposed,
      long start,
      int stride) {}

  /** Rounds the elements of a loaded F32 matrix, [out, in] or as its file has it. */
  void code(Tensor w, Workers workers) {
    if (w.elements() != (long) out * in) {
      throw new IllegalArgumentException(w + " for a matrix of %d × %d".formatted(out, in));
    }
    codes = Codes.of(storage, w, workers);
  }

  DType active() {
    return active;
  }

  Codes codes() {
    if (codes == null) {
      throw new IllegalStateException("a matrix without memory");
    }
    return codes;
  }

  /** Columns of such a product. */
  public int columns(Side side) {
    return side == Side.OUT ? out : in;
  }

  /** Whether they lie in whole rows of the codes, rather than across all of them. */
  public boolean wholeRows(Side side) {
    return (side == Side.OUT) != turned;
  }

  /** Those of them that one piece gives, but for the last piece. */
  public int step(Side side) {
    long fit = PIECE / (side == Side.OUT ? in : out);
    long round = fit < ROUND ? fit : fit / ROUND * ROUND;
    return (int) Math.max(1, Math.min(columns(side), round));
  }

  /** The piece for columns {@code from …}. */
  public Piece piece(Side side, int from) {
    int count = Math.min(step(side), columns(side) - from);
    int width = turned ? out : in;
    return wholeRows(side)
        ? new Piece(this, from, count, count, width, true, (long) from * width, width)
        : new Piece(this, from, count, turned ? in : out, count, false, from, width);
  }

  /** One row of w, for what is rare: of a file that has it as a column element by element. */
  Piece row(int row) {
    return turned
        ? new Piece(this, row, 1, in, 1, false, row, out)
        : new Piece(this, row, 1, 1, in, true, (long) row * in, in);
  }

  /** Elements of the largest piece. */
  public long pieceElements() {
    return Math.max((long) step(Side.OUT) * in, (long) step(Side.IN) * out);
  }

  @Override
  public int out() {
    return out;
  }

  @Override
  public int in() {
    return in;
  }

  @Override
  public long bytes() {
    return Codes.bytes(storage, (long) out * in);
  }

  @Override
  public long scratchBytes() {
    int pieces = active == DType.BF16 ? 2 : 1; // a merge needs a second one to round from
    return pieces * pieceElements() * active.bytes();
  }

  @Override
  public void release() {
    if (codes != null) {
      codes.free();
      codes = null;
    }
  }
}
