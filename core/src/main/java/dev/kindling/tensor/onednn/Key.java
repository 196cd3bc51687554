package dev.kindling.tensor.onednn;

import java.util.Arrays;

/** What tells one primitive from another. */
final class Key {
  private final Object kind;
  private final long[] numbers;
  private final int hash;

  private Key(Object kind, long[] numbers) {
    this.kind = kind;
    this.numbers = numbers;
    this.hash = 31 * kind.hashCode() + Arrays.hashCode(numbers);
  }

  /**
   * @param kind what the primitive does
   * @param details the numbers it depends on, beside the operands' types, sizes and strides
   */
  static Key of(Object kind, double[] details, Operand... operands) {
    int length = details.length;
    for (Operand o : operands) {
      length += 1 + 2 * o.sizes().length;
    }
    long[] numbers = new long[length];
    int at = 0;
    for (double detail : details) {
      numbers[at++] = Double.doubleToRawLongBits(detail);
    }
    for (Operand o : operands) {
      numbers[at++] = 16L * Operand.kind(o.type()).value + o.sizes().length;
      for (int d = 0; d < o.sizes().length; d++) {
        numbers[at++] = o.sizes()[d];
        numbers[at++] = o.strides()[d];
      }
    }
    return new Key(kind, numbers);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Key key && kind.equals(key.kind) && Arrays.equals(numbers, key.numbers);
  }

  @Override
  public int hashCode() {
    return hash;
  }
}
