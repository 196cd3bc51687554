package dev.kindling.tensor.onednn;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DIFF_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DIFF_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_FROM;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC_0;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC_1;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_TO;

import dev.kindling.tensor.Activation;
import dev.kindling.tensor.Tensor;
import org.bytedeco.dnnl.binary;
import org.bytedeco.dnnl.eltwise_backward;
import org.bytedeco.dnnl.eltwise_forward;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.global.dnnl.algorithm;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.reorder;

/** Operations on each element by itself; results may take the place of inputs of the same type. */
final class Elementwise {
  private static final double[] NONE = {};

  private final Primitives primitives;

  Elementwise(Primitives primitives) {
    this.primitives = primitives;
  }

  static algorithm of(Activation kind) {
    return switch (kind) {
      case GELU -> algorithm.eltwise_gelu_erf;
      case GELU_TANH -> algorithm.eltwise_gelu_tanh;
      case SILU -> algorithm.eltwise_swish;
      case TANH -> algorithm.eltwise_tanh;
    };
  }

  /** y = f(x). */
  void apply(algorithm f, Tensor x, Tensor y) {
    Operand in = Operand.dense(x, x.elements());
    Operand out = Operand.dense(y, y.elements());
    Primitive primitive =
        primitives.get(
            Key.of(f, NONE, in, out),
            () -> {
              try (eltwise_forward.primitive_desc description = forward(f, in, out)) {
                return new Primitive(new eltwise_forward(description))
                    .with(DNNL_ARG_SRC, in)
                    .with(DNNL_ARG_DST, out);
              }
            });
    primitive.run(primitives, in, out);
  }

  /** dx = dy · f′(x). */
  void backward(algorithm f, Tensor x, Tensor dy, Tensor dx) {
    Operand in = Operand.dense(x, x.elements());
    Operand above = Operand.dense(dy, dy.elements());
    Operand below = Operand.dense(dx, dx.elements());
    Primitive primitive =
        primitives.get(
            Key.of(f, NONE, in, above, below),
            () -> {
              try (eltwise_forward.primitive_desc hint = forward(f, in, in);
                  memory.desc source = in.describe();
                  memory.desc gradient = above.describe();
                  memory.desc result = below.describe();
                  eltwise_backward.primitive_desc description =
                      new eltwise_backward.primitive_desc(
                          Primitives.CPU, f, result, gradient, source, 1f, 0f, hint)) {
                return new Primitive(new eltwise_backward(description))
                    .with(DNNL_ARG_SRC, in)
                    .with(DNNL_ARG_DIFF_DST, above)
                    .with(DNNL_ARG_DIFF_SRC, below);
              }
            });
    primitive.run(primitives, in, above, below);
  }

  private static eltwise_forward.primitive_desc forward(algorithm f, Operand in, Operand out) {
    try (memory.desc source = in.describe();
        memory.desc result = out.describe()) {
      return new eltwise_forward.primitive_desc(
          Primitives.CPU, dnnl.prop_kind.forward_training, f, source, result, 1f, 0f);
    }
  }

  /** y [N, d] += row [d] on every row. */
  void addToRows(Tensor y, Tensor row) {
    combine(
        algorithm.binary_add,
        Operand.matrix(y),
        Operand.dense(row, 1, row.elements()),
        Operand.matrix(y));
  }

  /** out = a f b, where f is a sum or a product; out may be a. */
  void combine(algorithm f, Tensor a, Tensor b, Tensor out) {
    combine(
        f,
        Operand.dense(a, a.elements()),
        Operand.dense(b, b.elements()),
        Operand.dense(out, out.elements()));
  }

  private void combine(algorithm f, Operand left, Operand right, Operand result) {
    Primitive primitive =
        primitives.get(
            Key.of(f, NONE, left, right, result),
            () -> {
              try (memory.desc first = left.describe();
                  memory.desc second = right.describe();
                  memory.desc both = result.describe();
                  binary.primitive_desc description =
                      new binary.primitive_desc(Primitives.CPU, f, first, second, both)) {
                return new Primitive(new binary(description))
                    .with(DNNL_ARG_SRC_0, left)
                    .with(DNNL_ARG_SRC_1, right)
                    .with(DNNL_ARG_DST, result);
              }
            });
    primitive.run(primitives, left, right, result);
  }

  /** to = from, of other types or strides. */
  void copy(Operand from, Operand to) {
    Primitive primitive =
        primitives.get(
            Key.of("copy", NONE, from, to),
            () -> {
              try (memory.desc source = from.describe();
                  memory.desc target = to.describe();
                  reorder.primitive_desc description =
                      new reorder.primitive_desc(Primitives.CPU, source, Primitives.CPU, target)) {
                return new Primitive(new reorder(description))
                    .with(DNNL_ARG_FROM, from)
                    .with(DNNL_ARG_TO, to);
              }
            });
    primitive.run(primitives, from, to);
  }
}
