package dev.kindling.lora.plan;

import java.io.Serializable;

/**
 * One matrix product [rows, inner]·[inner, columns].
 *
 * @param adds whether the result is added to what is there
 */
public record Product(long rows, long inner, long columns, boolean adds) implements Serializable {
  static Product of(long rows, long inner, long columns) {
    return new Product(rows, inner, columns, false);
  }

  static Product adding(long rows, long inner, long columns) {
    return new Product(rows, inner, columns, true);
  }

  /** Floating-point operations: a multiplication and an addition for each term. */
  public long flops() {
    return 2 * rows * inner * columns;
  }

  /** Elements read and written, each operand once. */
  public long elements() {
    return rows * inner + inner * columns + (adds ? 2 : 1) * rows * columns;
  }
}
