package dev.kindling.tensor.cuda;

import static dev.kindling.tensor.cuda.Calls.check;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend.Arriving;
import dev.kindling.tensor.Precision;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Locale;
import org.bytedeco.cuda.cudart.CUctx_st;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.SizeTPointer;

/**
 * The calls to a real device, by its primary context and two streams of its own: one for work, and
 * one for what is copied beside it.
 */
final class CudaDriver implements Driver {
  /** Bytes: what cuBLAS recommends for Hopper. */
  private static final long WORKSPACE = 32L << 20;

  /** Bytes: twice a micro-batch of 16,384 tokens, which is 28 for each. */
  private static final int OUTBOX = 1 << 20;

  private final int device;
  private final CUctx_st context = new CUctx_st();
  private final LoadedKernels kernels;
  private final long workspace;
  private final Blas blas;
  private final Stream work;
  private final Stream beside;
  private final Outbox outbox;

  /**
   * Opens a device and compiles the kernels for it.
   *
   * @param ordinal among the devices that this process sees
   * @param precision of products and of the kernels' activations
   */
  CudaDriver(int ordinal, Precision precision) {
    int[] found = new int[1];
    check(cudart.cuInit(0), "cuInit");
    check(cudart.cuDeviceGet(found, ordinal), "cuDeviceGet");
    device = found[0];
    check(cudart.cuDevicePrimaryCtxRetain(context, device), "cuDevicePrimaryCtxRetain");
    enter();
    kernels = new LoadedKernels(DeviceNumbers.capability(device), precision == Precision.BF16);
    work = new Stream();
    beside = new Stream();
    workspace = allocate(WORKSPACE);
    blas = new Blas(workspace, WORKSPACE, precision == Precision.TF32, work.handle());
    outbox = new Outbox(stage(OUTBOX), line());
  }

  /** A context belongs to a thread, and tasks come on any. */
  private void enter() {
    check(cudart.cuCtxSetCurrent(context), "cuCtxSetCurrent");
  }

  @Override
  public long allocate(long bytes) {
    enter();
    long[] address = new long[1];
    int code = cudart.cuMemAlloc(address, bytes);
    if (code == Calls.OUT_OF_MEMORY) {
      throw full(bytes);
    }
    check(code, "cuMemAlloc");
    return address[0];
  }

  private static InvalidInput full(long bytes) {
    try (SizeTPointer free = new SizeTPointer(1);
        SizeTPointer total = new SizeTPointer(1)) {
      check(cudart.cuMemGetInfo(free, total), "cuMemGetInfo");
      return new InvalidInput(
          "the GPU's memory",
          String.format(
              Locale.ROOT,
              "%,d MB of %,d MB are free, and %,d MB more are needed",
              free.get() >> 20,
              total.get() >> 20,
              bytes >> 20),
          "a smaller train.micro-batch-size or data.max-length, train.recompute = block,"
              + " train.precision = bf16, or a GPU with more: explain tells what a run needs");
    }
  }

  @Override
  public void free(long address) {
    enter();
    work.await();
    beside.await();
    check(cudart.cuMemFree(address), "cuMemFree");
  }

  /** Page-locked, which the device reaches by itself: 80 MB in 2.4 ms instead of 6.3 on an H200. */
  @Override
  public ByteBuffer stage(int bytes) {
    enter();
    BytePointer host = new BytePointer((Pointer) null);
    check(cudart.cuMemAllocHost(host, bytes), "cuMemAllocHost");
    return host.limit(bytes).asByteBuffer();
  }

  @Override
  public void unstage(ByteBuffer staged) {
    enter();
    check(cudart.cuMemFreeHost(new BytePointer(staged).position(0)), "cuMemFreeHost");
  }

  @Override
  public void upload(ByteBuffer from, long to) {
    enter();
    if (outbox.takes(from.remaining())) {
      outbox.send(from, to);
    } else {
      send(from, to);
      work.await();
    }
  }

  private void send(ByteBuffer from, long to) {
    try (BytePointer bytes = new BytePointer(direct(from))) {
      int count = from.remaining();
      check(cudart.cuMemcpyHtoDAsync(to, bytes, count, work.handle()), "cuMemcpyHtoDAsync");
    }
  }

  private Outbox.Line line() {
    return new Outbox.Line() {
      @Override
      public void send(ByteBuffer part, long to) {
        CudaDriver.this.send(part, to);
      }

      @Override
      public Runnable read() {
        Stream.Mark mark = work.mark();
        return () -> {
          mark.await();
          mark.close();
        };
      }
    };
  }

  @Override
  public void download(long from, ByteBuffer into) {
    enter();
    int count = into.remaining();
    receive(from, into, work);
    work.await();
    into.position(into.position() + count);
  }

  private static void receive(long from, ByteBuffer into, Stream stream) {
    try (BytePointer bytes = new BytePointer(direct(into))) {
      int count = into.remaining();
      check(cudart.cuMemcpyDtoHAsync(bytes, from, count, stream.handle()), "cuMemcpyDtoHAsync");
    }
  }

  @Override
  public Arriving fetch(long from, ByteBuffer into) {
    enter();
    receive(from, into, work);
    Begun begun = new Begun(work.mark());
    return () -> {
      begun.await();
      begun.close();
    };
  }

  @Override
  public Copy fetchBeside(long from, ByteBuffer into) {
    enter();
    Stream.Mark before = work.mark();
    beside.after(before);
    before.close();
    receive(from, into, beside);
    return new Begun(beside.mark());
  }

  /** A copy, and the place behind it. */
  private final class Begun implements Copy {
    private final Stream.Mark copied;

    Begun(Stream.Mark copied) {
      this.copied = copied;
    }

    @Override
    public void beforeMore() {
      enter();
      work.after(copied);
    }

    @Override
    public void await() {
      enter();
      copied.await();
    }

    @Override
    public void close() {
      enter();
      copied.close();
    }
  }

  private static ByteBuffer direct(ByteBuffer buffer) {
    if (!buffer.isDirect()) {
      throw new IllegalArgumentException("the driver reads native memory");
    }
    return buffer;
  }

  @Override
  public void run(Work one) {
    enter();
    give(one);
  }

  private void give(Work one) {
    if (one instanceof Launch launch) {
      kernels.launch(launch, work);
    } else if (one instanceof Product product) {
      blas.multiply(product);
    } else if (one instanceof Clear clear) {
      check(
          cudart.cuMemsetD8Async(clear.address(), (byte) 0, clear.bytes(), work.handle()),
          "cuMemsetD8Async");
    }
  }

  @Override
  public Graph graph(List<Work> works) {
    enter();
    CUgraphExec_st ready = work.captured(() -> works.forEach(this::give));
    return new Graph() {
      @Override
      public void run() {
        enter();
        check(cudart.cuGraphLaunch(ready, work.handle()), "cuGraphLaunch");
      }

      @Override
      public void close() {
        enter();
        work.await();
        check(cudart.cuGraphExecDestroy(ready), "cuGraphExecDestroy");
      }
    };
  }

  @Override
  public void close() {
    enter();
    outbox.close();
    work.await();
    beside.await();
    unstage(outbox.buffer());
    check(cudart.cuMemFree(workspace), "cuMemFree");
    blas.close();
    kernels.close();
    work.close();
    beside.close();
    check(cudart.cuDevicePrimaryCtxRelease(device), "cuDevicePrimaryCtxRelease");
  }
}
