package dev.kindling.tensor.cuda;

import dev.kindling.tensor.DType;

/**
 * c = alpha · op(a) · op(b) + beta · c + bias for each of a batch; a beta of 0 ignores old c. Sums
 * are formed in fp32 and rounded to c's type at the end.
 *
 * @param c not transposed
 * @param batch how many, at least 1: each operand moves on by its stride from one to the next
 * @param bias address of as many numbers of c's type as c has columns, for every row; 0 for none
 */
record Product(Operand a, Operand b, Operand c, double alpha, double beta, int batch, long bias)
    implements Work {
  /**
   * A row-major matrix on the device, or a part of one.
   *
   * @param address of its first element
   * @param type F32 or BF16
   * @param rows as stored
   * @param columns as stored
   * @param leading elements from the start of one row to that of the next
   * @param stride elements from one of the batch to the next
   * @param turned whether it is multiplied transposed
   */
  record Operand(
      long address, DType type, int rows, int columns, long leading, long stride, boolean turned) {
    private boolean lies(long from, long to) {
      return from <= address && address < to;
    }

    /** Rows as multiplied. */
    int outer() {
      return turned ? columns : rows;
    }

    /** Columns as multiplied. */
    int inner() {
      return turned ? rows : columns;
    }

    /** The same, transposed if asked. */
    Operand turnedIf(boolean turn) {
      return new Operand(address, type, rows, columns, leading, stride, turn);
    }

    /** Bytes from its first element to past the last one of a batch. */
    long extent(int batch) {
      return ((batch - 1) * stride + (rows - 1) * leading + columns) * type.bytes();
    }
  }

  /** Without a bias. */
  Product(Operand a, Operand b, Operand c, double alpha, double beta, int batch) {
    this(a, b, c, alpha, beta, batch, 0);
  }

  Product {
    if (c.turned
        || batch < 1
        || a.inner() != b.outer()
        || a.outer() != c.rows
        || b.inner() != c.columns) {
      throw new IllegalArgumentException("cannot multiply %s by %s into %s".formatted(a, b, c));
    }
  }

  /**
   * The same with a bias.
   *
   * @param address of as many numbers of c's type as c has columns
   */
  Product plus(long address) {
    return new Product(a, b, c, alpha, beta, batch, address);
  }

  @Override
  public boolean names(long from, long to) {
    boolean biased = bias != 0 && from <= bias && bias < to;
    return biased || a.lies(from, to) || b.lies(from, to) || c.lies(from, to);
  }
}
