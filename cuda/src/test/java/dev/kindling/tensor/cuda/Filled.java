package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;

/** Tensors whose elements are known. */
final class Filled {
  private Filled() {}

  /** The element of a number, from 0. */
  interface Element {
    float at(int i);
  }

  /** New [rows, columns], real or active. */
  static Tensor of(Backend backend, DType type, int rows, int columns, Element element) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = element.at(i);
    }
    Tensor tensor = backend.allocate(type, rows, columns);
    backend.write(tensor, 0, values, 0, values.length);
    return tensor;
  }
}
