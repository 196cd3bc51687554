package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Activation;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cuda.Launch.Address;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The operations that are one kernel each, on rows and elements that lie on a device: a method for
 * each, and so a longer file than most. Closes what it has sent there itself, not the device.
 */
abstract class KernelBackend implements Backend {
  /** Of the device; not closed with this, for others may use it. */
  final WorkQueue queue;

  final Kernels kernels;
  private double[] frequencies = {};
  private long frequenciesAt;

  KernelBackend(WorkQueue queue) {
    this.queue = queue;
    this.kernels = new Kernels(queue);
  }

  @Override
  public void transpose(Tensor x, Tensor y) {
    kernels.overElements(
        "transpose", x.elements(), x, y, x.type().bytes(), (long) x.rows(), (long) x.columns());
  }

  @Override
  public void rowLengths(
      Tensor squares, Tensor projected, Tensor b, Tensor bGram, double scale, Tensor lengths) {
    long out = b.rows();
    kernels.overElements(
        "row_lengths", out, squares, projected, b, bGram, (float) scale, lengths, b.columns(), out);
  }

  @Override
  public void scaleColumns(Tensor x, Tensor by, Tensor over, @Nullable Tensor bias, Tensor y) {
    kernels.overElements(
        "scale_columns",
        x.elements(),
        x,
        DeviceMemory.code(x.type()),
        by,
        over,
        bias == null ? by : bias,
        bias == null ? 0 : 1,
        y,
        DeviceMemory.code(y.type()),
        x.columns(),
        x.elements());
  }

  @Override
  public void dotColumns(Tensor a, Tensor b, Tensor over, Tensor into, boolean accumulate) {
    int d = a.columns();
    kernels.overElements(
        "dot_columns",
        d,
        a,
        b,
        DeviceMemory.code(b.type()),
        over,
        into,
        a.rows(),
        d,
        accumulate ? 1f : 0f);
  }

  @Override
  public void gatherColumns(Tensor x, Tensor chosen, Tensor out) {
    long n = out.elements();
    kernels.overElements("gather_columns", n, x, x.columns(), chosen, out, out.columns(), n);
  }

  @Override
  public void gatherRows(Tensor x, Tensor rows, Tensor out) {
    gather(rows, x, out, false);
  }

  /** Rows of one type to rows of another. */
  final void gather(Tensor rows, Tensor from, Tensor out, boolean accumulate) {
    kernels.overElements(
        "gather_rows",
        out.elements(),
        rows,
        from,
        DeviceMemory.code(from.type()),
        out,
        DeviceMemory.code(out.type()),
        out.columns(),
        out.elements(),
        accumulate ? 1 : 0);
  }

  @Override
  public void gatherRowsBackward(Tensor dy, Tensor rows, Tensor dx, boolean accumulate) {
    if (!accumulate) {
      zero(dx);
    }
    kernels.overRows(
        "gather_rows_backward",
        dy.rows(),
        dy.columns(),
        dy,
        rows,
        dx,
        DeviceMemory.code(dx.type()),
        dy.rows(),
        dy.columns());
  }

  @Override
  public void addBias(Tensor y, Tensor bias) {
    kernels.addBias(y, bias);
  }

  @Override
  public void addBiasBackward(Tensor dy, Tensor db, boolean accumulate) {
    kernels.overElements(
        "add_bias_backward", dy.columns(), dy, db, dy.rows(), dy.columns(), accumulate ? 1f : 0f);
  }

  @Override
  public void add(Tensor a, Tensor b, Tensor out) {
    kernels.overElements(
        "add", out.elements(), a, b, out, DeviceMemory.code(out.type()), out.elements());
  }

  @Override
  public void zero(Tensor x) {
    if (x.elements() > 0) {
      queue.run(new Clear(DeviceMemory.of(x), DeviceMemory.bytes(x)));
    }
  }

  /** The share of hashes as a whole number of 53 bits: the very comparison of the CPU. */
  @Override
  public void dropout(Tensor x, Tensor rowKeys, long layer, double rate, Tensor y) {
    long least = (long) Math.ceil(rate * 0x1p53);
    kernels.overElements(
        "dropout",
        x.elements(),
        x,
        rowKeys,
        layer,
        least,
        (float) (1 / (1 - rate)),
        y,
        x.columns(),
        x.elements());
  }

  @Override
  public void layerNorm(
      Tensor x, Tensor gamma, Tensor beta, double epsilon, Tensor y, Tensor statistics) {
    int d = x.columns();
    kernels.overRows("layer_norm", x.rows(), d, x, gamma, beta, y, statistics, d, (float) epsilon);
  }

  @Override
  public void layerNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    int d = x.columns();
    kernels.overRows("layer_norm_backward", x.rows(), d, dy, x, gamma, statistics, dx, d);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gamma, double epsilon, Tensor y, Tensor statistics) {
    int d = x.columns();
    kernels.overRows("rms_norm", x.rows(), d, x, gamma, y, statistics, d, (float) epsilon);
  }

  @Override
  public void rmsNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    int d = x.columns();
    kernels.overRows("rms_norm_backward", x.rows(), d, dy, x, gamma, statistics, dx, d);
  }

  @Override
  public void rope(Tensor x, Tensor positions, double[] radians, boolean backwards) {
    if (!Arrays.equals(frequencies, radians)) { // the same ones for a whole run
      send(radians);
    }
    int half = radians.length;
    kernels.overRows(
        "rope",
        x.rows(),
        x.columns(),
        x,
        positions,
        new Address(frequenciesAt),
        x.columns() / (2 * half),
        half,
        backwards ? -1 : 1);
  }

  private void send(double[] radians) {
    forgetFrequencies();
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(radians.length * Double.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asDoubleBuffer().put(radians);
    frequenciesAt = queue.allocate(bytes.capacity());
    queue.upload(bytes, frequenciesAt);
    frequencies = radians.clone();
  }

  private void forgetFrequencies() {
    if (frequencies.length > 0) {
      queue.free(frequenciesAt);
      frequencies = new double[0];
    }
  }

  @Override
  public void swiGlu(Tensor gate, Tensor up, Tensor out) {
    kernels.overElements("swiglu", out.elements(), gate, up, out, out.elements());
  }

  @Override
  public void swiGluBackward(Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup) {
    long n = dout.elements();
    kernels.overElements("swiglu_backward", n, gate, up, dout, dgate, dup, n);
  }

  @Override
  public void takeColumns(Tensor x, int from, Tensor part) {
    columns(x, from, part, 0);
  }

  @Override
  public void putColumns(Tensor part, int from, Tensor x) {
    columns(x, from, part, 1);
  }

  private void columns(Tensor wide, int from, Tensor narrow, int puts) {
    long n = narrow.elements();
    kernels.overElements(
        "columns", n, wide, wide.columns(), from, narrow, narrow.columns(), n, puts);
  }

  private static int code(Activation kind) {
    return switch (kind) {
      case GELU -> 0;
      case GELU_TANH -> 1;
      case SILU -> 2;
      case TANH -> 3;
    };
  }

  @Override
  public void activation(Activation kind, Tensor x, Tensor y) {
    kernels.overElements("activation", x.elements(), code(kind), x, y, x.elements());
  }

  @Override
  public void activationBackward(Activation kind, Tensor x, Tensor y, Tensor dy, Tensor dx) {
    kernels.overElements("activation_backward", x.elements(), code(kind), x, dy, dx, x.elements());
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor labels, Tensor losses, @Nullable Tensor dlogits) {
    kernels.overRows(
        "cross_entropy",
        logits.rows(),
        logits.columns(),
        logits,
        labels,
        losses,
        dlogits == null ? losses : dlogits,
        logits.columns(),
        dlogits == null ? 0 : 1);
  }

  @Override
  public void close() {
    forgetFrequencies();
  }
}
