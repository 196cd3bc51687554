package dev.kindling.tensor.onednn;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DIFF_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DIFF_SCALE;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DIFF_SHIFT;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DIFF_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_MEAN;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SCALE;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SHIFT;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_VARIANCE;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.RmsGradient;
import org.bytedeco.dnnl.global.dnnl.normalization_flags;
import org.bytedeco.dnnl.global.dnnl.prop_kind;
import org.bytedeco.dnnl.layer_normalization_backward;
import org.bytedeco.dnnl.layer_normalization_forward;
import org.bytedeco.dnnl.memory;
import org.jspecify.annotations.Nullable;

/**
 * Layer and RMS norms. Statistics are [N] variances and [N] means behind each other, or of an RMS
 * norm [N] mean squares.
 *
 * <p>oneDNN 3.11 applies gamma in a backward only if it may compute gamma's gradient too; that
 * costs 6 to 27 % more and goes to a scratch that nobody reads. Its backward of an RMS norm is
 * wrong, see {@link RmsGradient}.
 */
final class Norms implements AutoCloseable {
  private final Primitives primitives;
  private final Elementwise elementwise;
  private final RmsGradient rms;
  private final Room unread = new Room(DType.F32);
  private final Room wideAbove;
  private final Room wideBelow = new Room(DType.F32);

  /**
   * @param wide free during a call
   */
  Norms(Primitives primitives, Elementwise elementwise, RmsGradient rms, Room wide) {
    this.wideAbove = wide;
    this.primitives = primitives;
    this.elementwise = elementwise;
    this.rms = rms;
  }

  /** What a forward and its backward share. */
  private record Shape(Operand x, Operand moments, double epsilon, int flags) {
    layer_normalization_forward.primitive_desc describe(Operand y) {
      try (memory.desc source = x.describe();
          memory.desc result = y.describe();
          memory.desc statistics = moments.describe()) {
        return new layer_normalization_forward.primitive_desc(
            Primitives.CPU,
            prop_kind.forward_training.value,
            source,
            result,
            statistics,
            (float) epsilon,
            flags);
      }
    }

    Key key(String kind, Operand y) {
      return Key.of(kind, new double[] {epsilon, flags}, x, y);
    }
  }

  private static final int CENTRED =
      normalization_flags.use_scale.value | normalization_flags.use_shift.value;
  private static final int UNCENTRED =
      normalization_flags.use_scale.value | normalization_flags.rms_norm.value;

  /**
   * y of x.
   *
   * @param beta null for an RMS norm
   */
  void forward(
      Tensor x, Tensor gamma, @Nullable Tensor beta, double epsilon, Tensor y, Tensor statistics) {
    Operand out = Operand.matrix(y);
    Operand scale = Operand.dense(gamma, gamma.elements());
    Operand spread = Operand.dense(statistics, x.rows());
    Shape shape = new Shape(Operand.matrix(x), spread, epsilon, beta == null ? UNCENTRED : CENTRED);
    if (beta == null) {
      primitives
          .get(shape.key("norm", out), () -> norm(shape, out, scale, spread))
          .run(primitives, shape.x, out, scale, spread);
      return;
    }
    Operand shift = Operand.dense(beta, beta.elements());
    Operand mean = Operand.dense(statistics.slice(x.rows(), x.rows()), x.rows());
    primitives
        .get(
            shape.key("norm", out),
            () ->
                norm(shape, out, scale, spread)
                    .with(DNNL_ARG_SHIFT, shift)
                    .with(DNNL_ARG_MEAN, mean))
        .run(primitives, shape.x, out, scale, spread, shift, mean);
  }

  private static Primitive norm(Shape shape, Operand y, Operand scale, Operand spread) {
    try (var description = shape.describe(y)) {
      return new Primitive(new layer_normalization_forward(description))
          .with(DNNL_ARG_SRC, shape.x)
          .with(DNNL_ARG_DST, y)
          .with(DNNL_ARG_SCALE, scale)
          .with(DNNL_ARG_VARIANCE, spread);
    }
  }

  /** dx from dy, of a layer norm. */
  void backward(Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    int d = gamma.columns();
    Tensor gradients = unread.of(2L * d);
    Operand above = Operand.matrix(dy);
    Operand below = Operand.matrix(dx);
    Operand scale = Operand.dense(gamma, d);
    Operand spread = Operand.dense(statistics, x.rows());
    Operand dscale = Operand.dense(gradients, d);
    Shape shape = new Shape(Operand.matrix(x), spread, epsilon, CENTRED);
    Key key = shape.key("norm backward", above);
    Operand mean = Operand.dense(statistics.slice(x.rows(), x.rows()), x.rows());
    Operand dshift = Operand.dense(gradients.slice(d, d), d);
    primitives
        .get(
            key,
            () ->
                gradient(shape, above, below, scale, spread, dscale)
                    .with(DNNL_ARG_DIFF_SHIFT, dshift)
                    .with(DNNL_ARG_MEAN, mean))
        .run(primitives, shape.x, above, below, scale, spread, dscale, dshift, mean);
  }

  /** dx from dy, of an RMS norm: bf16 is widened here, which Java would do an element at a time. */
  void rmsBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    if (dy.type() == DType.F32) {
      rms.of(dy, x, gamma, epsilon, statistics, dx);
      return;
    }
    Tensor wide = wideAbove.of(dy.elements()).reshape(dy.rows(), dy.columns());
    Tensor in = wideBelow.of(x.elements()).reshape(x.rows(), x.columns());
    elementwise.copy(Operand.matrix(dy), Operand.matrix(wide));
    elementwise.copy(Operand.matrix(x), Operand.matrix(in));
    rms.of(wide, in, gamma, epsilon, statistics, wide);
    elementwise.copy(Operand.matrix(wide), Operand.matrix(dx));
  }

  private static Primitive gradient(
      Shape shape, Operand dy, Operand dx, Operand scale, Operand spread, Operand dscale) {
    try (var hint = shape.describe(dy);
        memory.desc source = shape.x.describe();
        memory.desc gradient = dy.describe();
        memory.desc result = dx.describe();
        memory.desc statistics = shape.moments.describe();
        var description =
            new layer_normalization_backward.primitive_desc(
                Primitives.CPU,
                prop_kind.backward.value,
                result,
                gradient,
                source,
                statistics,
                memory.data_type.f32,
                memory.data_type.f32,
                (float) shape.epsilon,
                shape.flags,
                hint)) {
      return new Primitive(new layer_normalization_backward(description))
          .with(DNNL_ARG_SRC, shape.x)
          .with(DNNL_ARG_DIFF_DST, dy)
          .with(DNNL_ARG_DIFF_SRC, dx)
          .with(DNNL_ARG_SCALE, scale)
          .with(DNNL_ARG_VARIANCE, spread)
          .with(DNNL_ARG_DIFF_SCALE, dscale);
    }
  }

  @Override
  public void close() {
    unread.close();
    wideBelow.close();
  }
}
