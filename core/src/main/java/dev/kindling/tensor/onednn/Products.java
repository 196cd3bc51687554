package dev.kindling.tensor.onednn;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_BIAS;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC_1;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;

import dev.kindling.tensor.DType;
import java.util.function.Supplier;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.matmul;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.post_ops;
import org.bytedeco.dnnl.primitive_attr;
import org.jspecify.annotations.Nullable;

/**
 * Matrix products, batched or not.
 *
 * <p>In fp32 neither operand is packed beforehand: on AVX-512 a packed one gained 2 to 6 % at 2,048
 * rows and would have to be held twice, for the forward and for the backward (bench/results). In
 * bf16 those of small models are ({@link PackedMatrix}).
 *
 * <p>Each product's code is generated for its sizes, in 1 to 7 ms. oneDNN can make one for any
 * number of rows, but by another algorithm, which with two threads took 1.5 times as long in bf16,
 * and by its reference code as soon as results are scaled (bench/results).
 *
 * <p>On AVX2 oneDNN's first choice reads a right operand where it lies: 24 to 45 of a core's 80
 * GFLOP/s if its rows lie far apart. Its general product copies panels of it first and runs at 65
 * to 82 (2,048 × 3,072 by 3,072 × 768 on Zen 3: 124 ms instead of 330).
 */
final class Products {
  /** oneDNN's name for that product. */
  private static final String COPYING = "gemm";

  /**
   * Elements from one row to the next: rows behind each other, no longer than this, are as fast.
   */
  private static final long LONG_ROW = 512;

  /**
   * Elements of a right operand: of 128 queries of a head of 128, and no longer in a first cache.
   */
  private static final long LARGE = 1 << 14;

  private final Primitives primitives;

  Products(Primitives primitives) {
    this.primitives = primitives;
  }

  /** c = alpha · a·b + beta · c. */
  void multiply(Operand a, Operand b, double alpha, double beta, Operand c) {
    run(a, b, null, null, alpha, beta, c);
  }

  /** c = alpha · a·b + added, which may be broadcast. */
  void multiplyAndAdd(Operand a, Operand b, double alpha, Operand added, Operand c) {
    run(a, b, null, added, alpha, 0, c);
  }

  /** c = a·b + bias [1, columns] + beta · c. */
  void multiplyWithBias(Operand a, Operand b, Operand bias, double beta, Operand c) {
    run(a, b, bias, null, 1, beta, c);
  }

  private void run(
      Operand a,
      Operand b,
      @Nullable Operand bias,
      @Nullable Operand added,
      double alpha,
      double beta,
      Operand c) {
    double[] scales = {alpha, beta};
    Operand third = bias != null ? bias : added;
    String kind = bias != null ? "biased product" : "product";
    Key key = third == null ? Key.of(kind, scales, a, b, c) : Key.of(kind, scales, a, b, c, third);
    Primitive product =
        primitives.get(
            key, () -> bound(make(a, b, bias, added, alpha, beta, c), a, b, bias, added, alpha, c));
    if (third != null) {
      product.run(primitives, a, b, c, third);
    } else {
      product.run(primitives, a, b, c);
    }
  }

  private static Primitive bound(
      matmul code,
      Operand a,
      Operand b,
      @Nullable Operand bias,
      @Nullable Operand added,
      double alpha,
      Operand c) {
    Primitive product =
        new Primitive(code).with(DNNL_ARG_SRC, a).with(DNNL_ARG_WEIGHTS, b).with(DNNL_ARG_DST, c);
    if (bias != null) {
      product.with(DNNL_ARG_BIAS, bias);
    }
    if (added != null) {
      int place = alpha == 1 ? 1 : 2; // of the addition among what follows the product
      product.with((DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE * place) | DNNL_ARG_SRC_1, added);
    }
    return product;
  }

  private static matmul make(
      Operand a,
      Operand b,
      @Nullable Operand bias,
      @Nullable Operand added,
      double alpha,
      double beta,
      Operand c) {
    try (memory.desc left = a.describe();
        memory.desc right = b.describe();
        memory.desc result = c.describe();
        memory.desc row = bias == null ? null : bias.describe();
        memory.desc term = added == null ? null : added.describe();
        post_ops after = new post_ops();
        primitive_attr attributes = new primitive_attr()) {
      if (alpha != 1) {
        after.append_eltwise(dnnl.algorithm.eltwise_linear, (float) alpha, 0);
      }
      if (beta != 0) {
        after.append_sum((float) beta, 0, memory.data_type.undef);
      }
      if (term != null) {
        after.append_binary(dnnl.algorithm.binary_add, term);
      }
      attributes.set_post_ops(after);
      Supplier<matmul.primitive_desc> description =
          () ->
              row == null
                  ? new matmul.primitive_desc(
                      Primitives.CPU, left, right, result, attributes, false)
                  : new matmul.primitive_desc(
                      Primitives.CPU, left, right, row, result, attributes, false);
      boolean copies = bias == null && added == null && liesApart(b);
      return copies ? copying(description) : first(description);
    }
  }

  /** Whether the rows of a large right operand begin more than 2 kB apart. */
  private static boolean liesApart(Operand b) {
    int last = b.sizes().length - 1;
    long columns = b.sizes()[last];
    long row = b.strides()[last - 1];
    return InstructionSet.endsWithAvx2()
        && b.type() == DType.F32
        && b.strides()[last] == 1
        && (row > LONG_ROW || (row == LONG_ROW && columns < row))
        && b.sizes()[last - 1] * columns > LARGE;
  }

  private static matmul first(Supplier<matmul.primitive_desc> description) {
    try (matmul.primitive_desc first = description.get()) {
      return new matmul(first);
    }
  }

  /** By the first of oneDNN's ways that copies the right operand into panels, if there is one. */
  private static matmul copying(Supplier<matmul.primitive_desc> description) {
    try (matmul.primitive_desc way = description.get()) {
      do {
        if (way.impl_info_str().getString().startsWith(COPYING)) {
          return new matmul(way);
        }
      } while (way.next_impl());
    }
    return first(description);
  }
}
