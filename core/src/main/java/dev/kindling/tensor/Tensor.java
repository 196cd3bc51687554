package dev.kindling.tensor;

import java.util.Arrays;

/**
 * Shape, element type and contiguous row-major memory owned by a {@link Backend}. Views share
 * memory; nothing here copies.
 */
public final class Tensor {
  private final DType type;
  private final long[] shape;
  private final Memory memory;

  /**
   * @param type element type
   * @param memory at least as many elements as the shape holds
   * @param shape sizes, outermost first; all at least 0
   */
  public Tensor(DType type, Memory memory, long... shape) {
    this.type = type;
    this.memory = memory;
    this.shape = shape.clone();
  }

  /** Number of elements that a shape holds. */
  public static long elements(long... shape) {
    long product = 1;
    for (long size : shape) {
      product = Math.multiplyExact(product, size);
    }
    return product;
  }

  public DType type() {
    return type;
  }

  public Memory memory() {
    return memory;
  }

  /** Sizes, outermost first. */
  public long[] shape() {
    return shape.clone();
  }

  public long elements() {
    return elements(shape);
  }

  /** Size of the innermost dimension; 1 for a scalar. */
  public int columns() {
    return shape.length == 0 ? 1 : Math.toIntExact(shape[shape.length - 1]);
  }

  /** Product of all dimensions but the innermost. */
  public int rows() {
    int product = 1;
    for (int d = 0; d < shape.length - 1; d++) {
      product = Math.toIntExact(product * shape[d]);
    }
    return product;
  }

  /** The same elements under another shape of equal size. */
  public Tensor reshape(long... other) {
    if (elements(other) != elements()) {
      throw new IllegalArgumentException(
          "cannot view " + this + " as " + Arrays.toString(other) + ": sizes differ");
    }
    return new Tensor(type, memory.slice(0, elements()), other);
  }

  /** {@code elements(shape)} elements from element {@code from} on, viewed under {@code shape}. */
  public Tensor slice(long from, long... part) {
    long count = elements(part);
    if (from < 0 || from + count > elements()) {
      throw new IllegalArgumentException(
          "elements " + from + " to " + (from + count) + " lie outside " + this);
    }
    return new Tensor(type, memory.slice(from, count), part);
  }

  /** For messages: {@code F32[2, 3]}. */
  @Override
  public String toString() {
    return type + Arrays.toString(shape);
  }
}
