package dev.kindling.tensor.cuda;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.HostCodes;
import dev.kindling.tensor.cpu.KeptMatrix;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Every operation as kernels and products on one device; everything between two readings stays
 * there. Real is F32. A method for each operation, and so a longer file than most.
 */
final class CudaBackend extends KernelBackend {
  /** Elements of a chunk's scores: 64 MiB of floats. */
  static final long MOST_SCORES = 1 << 24;

  /** Beyond any device's memory, and within what kernels can count. */
  private static final long MOST_ELEMENTS = 1L << 38;

  private final DType active;
  private final boolean rounds;
  private final Transfers transfers;
  private final Products products;
  private final Decoded decoded;
  private final Attention attention;
  private final Flash flash;

  /**
   * @param queue of the device; not closed with this, for others may use it
   * @param mostScores elements of a chunk of attention's scores
   */
  CudaBackend(Precision precision, WorkQueue queue, long mostScores) {
    super(queue);
    this.active = precision.active();
    this.rounds = precision.rounds();
    this.transfers = new Transfers(queue);
    this.products = new Products(queue, kernels);
    this.decoded = new Decoded(queue, kernels, active);
    this.attention = new Attention(queue, kernels, active, mostScores);
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
    return active == DType.BF16 ? active : super.frozen(stored, storage);
  }

  @Override
  public FrozenMatrix coded(Storage storage, boolean turned, int out, int in) {
    return new DeviceCodes(storage, turned, out, in, active, queue);
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
    long address = queue.allocate(bytes);
    queue.run(new Clear(address, bytes));
    return new Tensor(type, new DeviceMemory(address, type), shape);
  }

  @Override
  public void free(Tensor allocated) {
    queue.free(DeviceMemory.of(allocated));
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
  public Arriving fetch(Tensor from, float[] into) {
    return transfers.fetch(from, into);
  }

  /** The host adds up a gradient while the device computes the next. */
  @Override
  public int ahead() {
    return 2;
  }

  @Override
  public void convert(Tensor from, Tensor to) {
    products.convert(from, to);
  }

  @Override
  public FrozenMatrix freeze(Tensor w, FrozenMatrix.Use use) {
    return new KeptMatrix(w, active);
  }

  @Override
  public void linear(
      Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    if (w instanceof DeviceCodes coded) {
      products.linear(x, decoded.asStored(coded), !coded.turned(), bias, y, accumulate);
    } else {
      products.linear(x, (KeptMatrix) w, bias, y, accumulate);
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
  public void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate) {
    gather(ids, whole(table), out, accumulate);
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
  public void close() {
    products.close();
    decoded.close();
    transfers.close();
    super.close();
  }
}
