package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Activation;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.HostCodes;
import dev.kindling.tensor.cpu.KeptMatrix;
import dev.kindling.tensor.cuda.Launch.Address;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Every operation as kernels and products on one device; everything between two readings stays
 * there. Real is F32. Longer than most files, for it has a method for every operation.
 */
final class CudaBackend implements Backend {
  /** Elements of a chunk's scores: 64 MiB of floats. */
  static final long MOST_SCORES = 1 << 24;

  /** Beyond any device's memory, and within what kernels can count. */
  private static final long MOST_ELEMENTS = 1L << 38;

  private final Driver driver;
  private final DType active;
  private final boolean rounds;
  private final Kernels kernels;
  private final Transfers transfers;
  private final Products products;
  private final Decoded decoded;
  private final Attention attention;
  private final Flash flash;
  private double[] frequencies = {};
  private long frequenciesAt;

  /**
   * @param driver of the device; not closed with this, for others may use it
   * @param mostScores elements of a chunk of attention's scores
   */
  CudaBackend(Precision precision, Driver driver, long mostScores) {
    this.driver = driver;
    this.active = precision.active();
    this.rounds = precision.rounds();
    this.kernels = new Kernels(driver);
    this.transfers = new Transfers(driver);
    this.products = new Products(driver, kernels);
    this.decoded = new Decoded(driver, kernels, active);
    this.attention = new Attention(driver, kernels, active, mostScores);
    this.flash = new Flash(kernels);
  }

  @Override
  public String name() {
    return "cuda";
  }

  @Override
  public DType real() {
    return DType.F32;
  }

  @Override
  public DType active() {
    return active;
  }

  @Override
  public boolean rounds() {
    return rounds;
  }

  /** All matrices are BF16 where products are, whatever they were stored in. */
  @Override
  public DType frozen(StoredType stored, Storage storage) {
    return active == DType.BF16 ? active : Backend.super.frozen(stored, storage);
  }

  @Override
  public FrozenMatrix coded(Storage storage, boolean turned, int out, int in) {
    return new DeviceCodes(storage, turned, out, in, active, driver);
  }

  /** Rounded on the host: once for each matrix, on loading. */
  @Override
  public void code(Tensor w, FrozenMatrix into) {
    DeviceCodes coded = (DeviceCodes) into;
    if (w.elements() != coded.count()) {
      throw new IllegalArgumentException(w + " for " + coded.out() + " × " + coded.in());
    }
    Consumer<FloatBuffer> filler = floats -> transfers.read(w, floats);
    try (HostCodes codes = HostCodes.of(coded.storage(), coded.count(), filler)) {
      coded.place(codes);
    }
  }

  @Override
  public long mostElements() {
    return MOST_ELEMENTS;
  }

  @Override
  public Tensor allocate(DType type, long... shape) {
    long bytes = Math.max(1, Tensor.elements(shape)) * type.bytes();
    long address = driver.allocate(bytes);
    driver.clear(address, bytes);
    return new Tensor(type, new DeviceMemory(address, type), shape);
  }

  @Override
  public void free(Tensor allocated) {
    driver.free(DeviceMemory.of(allocated));
  }

  @Override
  public void write(Tensor to, long at, float[] values, int from, int count) {
    transfers.write(to, at, values, from, count);
  }

  @Override
  public void write(Tensor to, int[] values) {
    transfers.write(to, values);
  }

  @Override
  public void write(Tensor to, long[] values) {
    transfers.write(to, values);
  }

  @Override
  public void decode(Tensor to, long at, ByteBuffer stored, StoredType as) {
    transfers.decode(to, at, stored, as);
  }

  @Override
  public void read(Tensor from, float[] into) {
    transfers.read(from, into);
  }

  @Override
  public void convert(Tensor from, Tensor to) {
    products.convert(from, to);
  }

  @Override
  public void transpose(Tensor x, Tensor y) {
    kernels.overElements(
        "transpose", x.elements(), x, y, x.type().bytes(), (long) x.rows(), (long) x.columns());
  }

  @Override
  public FrozenMatrix freeze(Tensor w, boolean head) {
    return new KeptMatrix(w, active);
  }

  @Override
  public void linear(
      Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    if (w instanceof DeviceCodes coded) {
      Tensor stored = decoded.asStored(coded);
      products.matmul(x, false, stored, !coded.turned(), 1, accumulate ? 1 : 0, y);
    } else {
      products.linear(x, (KeptMatrix) w, y, accumulate);
    }
    if (bias != null) {
      addBias(y, bias);
    }
  }

  @Override
  public void linearBackward(Tensor dy, FrozenMatrix w, Tensor dx, boolean accumulate) {
    if (w instanceof DeviceCodes coded) {
      Tensor stored = decoded.asStored(coded);
      products.matmul(dy, false, stored, coded.turned(), 1, accumulate ? 1 : 0, dx);
    } else {
      products.linearBackward(dy, (KeptMatrix) w, dx, accumulate);
    }
  }

  @Override
  public void matmul(
      Tensor a,
      boolean transposeA,
      Tensor b,
      boolean transposeB,
      double alpha,
      double beta,
      Tensor c) {
    products.matmul(a, transposeA, b, transposeB, alpha, beta, c);
  }

  @Override
  public void merge(FrozenMatrix w, Tensor b, Tensor a, double scale, Tensor into) {
    Tensor whole = whole(w);
    if (whole.type() == DType.BF16 && into.type() == DType.BF16) {
      products.matmul(b, false, a, false, scale, 0, into);
      long n = into.elements();
      kernels.overElements("add_dithered", n, whole, into, into.columns(), n);
      return;
    }
    convert(whole, into);
    products.matmul(b, false, a, false, scale, 1, into);
  }

  /** [out, in], for what is no product. */
  private Tensor whole(FrozenMatrix w) {
    return w instanceof DeviceCodes coded ? decoded.straight(coded) : ((KeptMatrix) w).w();
  }

  @Override
  public void change(
      FrozenMatrix w, Tensor left, Tensor right, boolean transposeRight, double scale) {
    if (w instanceof DeviceCodes) {
      throw new IllegalArgumentException("codes are too coarse to be changed");
    }
    Tensor all = ((KeptMatrix) w).w();
    if (all.type() != DType.F32 || active != DType.F32) {
      throw new IllegalArgumentException(all + " is too coarse to be changed");
    }
    products.matmul(left, false, right, transposeRight, scale, 1, all);
  }

  @Override
  public void rowSquares(FrozenMatrix w, Tensor squares) {
    Tensor all = whole(w);
    kernels.overRows(
        "row_squares",
        all.rows(),
        all.columns(),
        all,
        DeviceMemory.code(all.type()),
        squares,
        all.columns());
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
        by,
        over,
        bias == null ? by : bias,
        bias == null ? 0 : 1,
        y,
        x.columns(),
        x.elements());
  }

  @Override
  public void dotColumns(Tensor a, Tensor b, Tensor over, Tensor into, boolean accumulate) {
    int d = a.columns();
    kernels.overElements("dot_columns", d, a, b, over, into, a.rows(), d, accumulate ? 1f : 0f);
  }

  @Override
  public void gatherColumns(Tensor x, Tensor chosen, Tensor out) {
    long n = out.elements();
    kernels.overElements("gather_columns", n, x, x.columns(), chosen, out, out.columns(), n);
  }

  @Override
  public void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate) {
    gather(ids, whole(table), out, accumulate);
  }

  @Override
  public void gatherRows(Tensor x, Tensor rows, Tensor out) {
    gather(rows, x, out, false);
  }

  private void gather(Tensor rows, Tensor from, Tensor out, boolean accumulate) {
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
    kernels.overElements(
        "add_bias", y.elements(), y, DeviceMemory.code(y.type()), bias, y.columns(), y.elements());
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
      driver.clear(DeviceMemory.of(x), DeviceMemory.bytes(x));
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
    frequenciesAt = driver.allocate(bytes.capacity());
    driver.upload(bytes, frequenciesAt);
    frequencies = radians.clone();
  }

  private void forgetFrequencies() {
    if (frequencies.length > 0) {
      driver.free(frequenciesAt);
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
  public long attentionKept(AttentionShape shape) {
    return attention.kept(shape);
  }

  @Override
  public long attentionScratch(AttentionShape shape) {
    return Flash.fits(shape, active) ? Flash.scratch(shape) : attention.scratch(shape);
  }

  @Override
  public void attention(
      AttentionShape shape,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor kept,
      Tensor context,
      Tensor scratch) {
    if (Flash.fits(shape, active)) {
      flash.forward(shape, q, k, v, starts, ends, kept, context);
    } else {
      attention.forward(shape, q, k, v, starts, ends, kept, context, scratch);
    }
  }

  @Override
  public void attentionBackward(
      AttentionShape shape,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor kept,
      Tensor context,
      Tensor dcontext,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor scratch) {
    if (Flash.fits(shape, active)) {
      flash.backward(shape, q, k, v, starts, ends, kept, context, dcontext, dq, dk, dv, scratch);
    } else {
      attention.backward(shape, q, k, v, starts, ends, kept, dcontext, dq, dk, dv, scratch);
    }
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
    products.close();
    decoded.close();
    transfers.close();
    forgetFrequencies();
  }
}
