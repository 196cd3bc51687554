package dev.kindling.tensor.nd4j;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Two-dimensional fp32 products where ND4J's backend has its memory: operands are copied there,
 * results back. On a device that is the price of the bus, 4 bytes an element each way; what stays
 * there is what {@link #copy} made.
 */
final class ArrayProducts {
  private ArrayProducts() {}

  /** The elements of a matrix, row-major, in ND4J's memory. */
  static INDArray copy(Tensor tensor) {
    if (tensor.type() != DType.F32) {
      throw new IllegalArgumentException(tensor + ": ND4J's products are of F32");
    }
    float[] values = new float[Math.toIntExact(tensor.elements())];
    CpuMemory.floats(tensor).get(0, values);
    return Nd4j.create(values, new long[] {tensor.rows(), tensor.columns()}, 'c');
  }

  /**
   * c = alpha · op(a) · op(b) + beta · c.
   *
   * @throws IllegalArgumentException if the shapes do not fit each other
   */
  static void multiply(
      INDArray a,
      boolean transposeA,
      INDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      Tensor c) {
    INDArray left = transposeA ? a.transpose() : a;
    INDArray right = transposeB ? b.transpose() : b;
    if (left.columns() != right.rows()
        || left.rows() != c.rows()
        || right.columns() != c.columns()) {
      throw new IllegalArgumentException(
          "cannot multiply [%d, %d] by [%d, %d] into %s"
              .formatted(left.rows(), left.columns(), right.rows(), right.columns(), c));
    }
    // ND4J writes columns: of the transposed result they are our rows.
    try (INDArray turned =
        Nd4j.createUninitialized(DataType.FLOAT, new long[] {c.columns(), c.rows()}, 'f')) {
      right.transpose().mmul(left.transpose(), turned);
      if (alpha != 1) {
        turned.muli(alpha);
      }
      float[] product = turned.data().asFloat();
      if (beta != 0) {
        var before = CpuMemory.floats(c);
        for (int i = 0; i < product.length; i++) {
          product[i] += (float) beta * before.get(i);
        }
      }
      CpuMemory.floats(c).put(0, product);
    }
  }
}
