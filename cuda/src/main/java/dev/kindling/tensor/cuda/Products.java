package dev.kindling.tensor.cuda;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.KeptMatrix;
import dev.kindling.tensor.cuda.Product.Operand;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: products with frozen matrices and without. A matrix that is not kept in the type of the
 * products is converted by blocks of rows, each of which takes the place of the last. Large
 * matrices whose rows do not begin at multiples of 16 bytes are copied to where they do: without
 * that, products of 5,461 columns ran at 90 TFLOP/s of an H200's 700.
 */
final class Products {
  private final WorkQueue queue;
  private final Kernels kernels;
  private final Room block;
  private final Room biases;
  private final Straightened straightened;

  Products(WorkQueue queue, Kernels kernels) {
    this.queue = queue;
    this.kernels = kernels;
    this.block = new Room(queue);
    this.biases = new Room(queue);
    this.straightened = new Straightened(queue, kernels, Straightened.LARGE);
  }

  private static Operand operand(Tensor matrix) {
    return operand(DeviceMemory.of(matrix), matrix.type(), matrix.rows(), matrix.columns());
  }

  private static Operand operand(long address, DType type, int rows, int columns) {
    return new Operand(address, type, rows, columns, columns, 0, false);
  }

  void matmul(Tensor a, boolean ta, Tensor b, boolean tb, double alpha, double beta, Tensor c) {
    straightened.multiply(product(a, ta, b, tb, alpha, beta, c));
  }

  private static Product product(
      Tensor a, boolean ta, Tensor b, boolean tb, double alpha, double beta, Tensor c) {
    Operand left = operand(a).turnedIf(ta);
    Operand right = operand(b).turnedIf(tb);
    Operand into = operand(c);
    if (left.inner() != right.outer()
        || left.outer() != into.rows()
        || right.inner() != into.columns()) {
      throw new IllegalArgumentException(
          "cannot multiply %s%s by %s%s into %s".formatted(a, ta ? "ᵀ" : "", b, tb ? "ᵀ" : "", c));
    }
    return new Product(left, right, into, alpha, beta, 1);
  }

  /**
   * y [N, out] = x·op(w) + bias, or += with {@code accumulate}. The product adds the bias itself
   * where its sums go straight to y, and rows begin where cublasLt's fast kernels want them: y is
   * read and written once less.
   */
  void linear(
      Tensor x, Tensor w, boolean turned, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    Product product = product(x, false, w, turned, 1, accumulate ? 1 : 0, y);
    boolean even =
        y.rows() > 1
            && y.columns() % Straightened.ROUND == 0
            && x.columns() % Straightened.ROUND == 0;
    if (bias != null && even && !straightened.copies(product)) {
      queue.run(product.plus(added(bias, y.type())));
      return;
    }
    straightened.multiply(product);
    if (bias != null) {
      kernels.addBias(y, bias);
    }
  }

  /** As cublasLt adds it: of the result's type, and where vectors of any length may begin. */
  private long added(Tensor bias, DType type) {
    long address = DeviceMemory.of(bias);
    if (type == bias.type() && address % Straightened.STEP == 0) {
      return address;
    }
    long copy = biases.of(bias.elements() * type.bytes());
    convert(bias, new Tensor(type, new DeviceMemory(copy, type), bias.elements()));
    return copy;
  }

  /** y [N, out] = x·wᵀ + bias, or += with {@code accumulate}. */
  void linear(Tensor x, KeptMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    if (w.direct()) {
      linear(x, w.w(), true, bias, y, accumulate);
      return;
    }
    int step = w.blockRows();
    for (int from = 0; from < w.out(); from += step) {
      int rows = Math.min(step, w.out() - from);
      Operand part = operand(converted(w, from, rows)).turnedIf(true);
      Operand columns = columns(y, from, rows); // of all rows of y
      queue.run(new Product(operand(x), part, columns, 1, accumulate ? 1 : 0, 1));
    }
    if (bias != null) {
      kernels.addBias(y, bias);
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
      Operand part = operand(converted(w, from, rows));
      double before = accumulate || from > 0 ? 1 : 0;
      queue.run(new Product(columns(dy, from, rows), part, operand(dx), 1, before, 1));
    }
  }

  private static Operand columns(Tensor matrix, int from, int count) {
    long address = DeviceMemory.of(matrix) + (long) from * matrix.type().bytes();
    return new Operand(address, matrix.type(), matrix.rows(), count, matrix.columns(), 0, false);
  }

  private Tensor converted(KeptMatrix w, int from, int rows) {
    long address = block.of(w.blockElements() * w.active().bytes());
    DeviceMemory memory = new DeviceMemory(address, w.active());
    Tensor into = new Tensor(w.active(), memory, rows, w.in());
    convert(w.part(from, rows), into);
    return into;
  }

  /** to = from, rounded to the type of {@code to}. */
  void convert(Tensor from, Tensor to) {
    kernels.overElements(
        "convert",
        to.elements(),
        from,
        DeviceMemory.code(from.type()),
        to,
        DeviceMemory.code(to.type()),
        to.elements());
  }

  void close() {
    straightened.close();
    block.free();
    biases.free();
  }
}
