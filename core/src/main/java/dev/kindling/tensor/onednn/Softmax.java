package dev.kindling.tensor.onednn;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DIFF_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DIFF_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;

import org.bytedeco.dnnl.global.dnnl.algorithm;
import org.bytedeco.dnnl.global.dnnl.prop_kind;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.softmax_backward;
import org.bytedeco.dnnl.softmax_forward;

/** Softmax over the innermost dimension. */
final class Softmax {
  private static final double[] NONE = {};

  private final Primitives primitives;

  Softmax(Primitives primitives) {
    this.primitives = primitives;
  }

  /** p = softmax(x); p may be x. */
  void forward(Operand x, Operand p) {
    run(algorithm.softmax_accurate, x, p);
  }

  /** p = log softmax(x); p may be x. */
  void logarithm(Operand x, Operand p) {
    run(algorithm.softmax_log, x, p);
  }

  private void run(algorithm kind, Operand x, Operand p) {
    primitives
        .get(
            Key.of(kind, NONE, x, p),
            () -> {
              try (var description = describe(kind, x, p)) {
                return new Primitive(new softmax_forward(description))
                    .with(DNNL_ARG_SRC, x)
                    .with(DNNL_ARG_DST, p);
              }
            })
        .run(primitives, x, p);
  }

  /** dx = p ∘ (dp − Σ dp ∘ p) of each row; dx may be dp if of its type. */
  void backward(Operand p, Operand dp, Operand dx) {
    primitives
        .get(
            Key.of("softmax backward", NONE, p, dp, dx),
            () -> {
              try (var hint = describe(algorithm.softmax_accurate, p, p);
                  memory.desc result = p.describe();
                  memory.desc gradient = dp.describe();
                  memory.desc below = dx.describe();
                  var description =
                      new softmax_backward.primitive_desc(
                          Primitives.CPU,
                          algorithm.softmax_accurate,
                          below,
                          gradient,
                          result,
                          last(p),
                          hint)) {
                return new Primitive(new softmax_backward(description))
                    .with(DNNL_ARG_DST, p)
                    .with(DNNL_ARG_DIFF_DST, dp)
                    .with(DNNL_ARG_DIFF_SRC, dx);
              }
            })
        .run(primitives, p, dp, dx);
  }

  private static softmax_forward.primitive_desc describe(algorithm kind, Operand x, Operand p) {
    try (memory.desc source = x.describe();
        memory.desc result = p.describe()) {
      return new softmax_forward.primitive_desc(
          Primitives.CPU, prop_kind.forward_training, kind, source, result, last(x));
    }
  }

  private static int last(Operand x) {
    return x.sizes().length - 1;
  }
}
