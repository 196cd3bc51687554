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
import dev.kindling.tensor.cpu.CpuMemory;
import java.nio.FloatBuffer;
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
 * costs 6 to 27 % more and goes to a scratch that nobody reads. And its backward of an RMS norm
 * subtracts mean(g), g = dy ∘ gamma, as that of a layer norm must; it is added again here, by a
 * product that sums the rows and one that spreads the sums.
 */
final class Norms implements AutoCloseable {
  private final Primitives primitives;
  private final Products products;
  private final Elementwise elementwise;
  private final Room unread = new Room(DType.F32);
  private final Room means = new Room(DType.F32);
  private final Room narrow;

  /**
   * @param active type of rows
   */
  Norms(DType active, Primitives primitives, Products products, Elementwise elementwise) {
    this.primitives = primitives;
    this.products = products;
    this.elementwise = elementwise;
    this.narrow = new Room(active);
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

  /**
   * dx from dy.
   *
   * @param centred of a layer norm, else of an RMS norm
   */
  void backward(
      Tensor dy,
      Tensor x,
      Tensor gamma,
      boolean centred,
      double epsilon,
      Tensor statistics,
      Tensor dx) {
    int d = gamma.columns();
    Tensor gradients = unread.of(2L * d);
    Operand above = Operand.matrix(dy);
    Operand below = Operand.matrix(dx);
    Operand scale = Operand.dense(gamma, d);
    Operand spread = Operand.dense(statistics, x.rows());
    Operand dscale = Operand.dense(gradients, d);
    Shape shape = new Shape(Operand.matrix(x), spread, epsilon, centred ? CENTRED : UNCENTRED);
    Key key = shape.key("norm backward", above);
    if (!centred) {
      primitives
          .get(key, () -> gradient(shape, above, below, scale, spread, dscale))
          .run(primitives, shape.x, above, below, scale, spread, dscale);
      addMeans(above, gamma, epsilon, statistics, below);
      return;
    }
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

  /** dx [N, d] += mean(dy ∘ gamma) / √(mean square + epsilon), a number for each row. */
  private void addMeans(Operand dy, Tensor gamma, double epsilon, Tensor statistics, Operand dx) {
    int n = (int) dy.sizes()[0];
    int d = gamma.columns();
    Tensor all = narrow.of(2L * d + n); // gamma, ones and the rows' numbers, in the rows' type
    Operand weights = Operand.dense(all, d, 1);
    Operand ones = Operand.dense(all.slice(d, d), 1, d);
    Operand numbers = Operand.dense(all.slice(2L * d, n), n, 1);
    elementwise.copy(Operand.dense(gamma, d, 1), weights);
    Tensor sums = means.of((long) n + d);
    products.multiply(dy, weights, 1.0 / d, 0, Operand.dense(sums, n, 1));
    FloatBuffer values = CpuMemory.floats(sums);
    FloatBuffer squares = CpuMemory.floats(statistics);
    for (int row = 0; row < n; row++) {
      values.put(row, (float) (values.get(row) / Math.sqrt(squares.get(row) + epsilon)));
    }
    for (int c = 0; c < d; c++) {
      values.put(n + c, 1f);
    }
    elementwise.copy(Operand.dense(sums.slice(n, d), 1, d), ones);
    elementwise.copy(Operand.dense(sums, n, 1), numbers);
    products.multiply(numbers, ones, 1, 1, dx);
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
    means.close();
    narrow.close();
  }
}
