package dev.kindling.tensor.cuda;

import static dev.kindling.tensor.cuda.Calls.check;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend.Arriving;
import dev.kindling.tensor.Precision;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import org.bytedeco.cuda.cudart.CUctx_st;
import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.cudart.CUfunc_st;
import org.bytedeco.cuda.cudart.CUmod_st;
import org.bytedeco.cuda.cudart.CUuuid;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.SizeTPointer;

/**
 * The calls to a real device, by its primary context and its default stream. Shared by all backends
 * of a process on this device and precision; one call at a time.
 */
final class CudaDriver implements Driver {
  /** Bytes: what cuBLAS recommends for Hopper. */
  private static final long WORKSPACE = 32L << 20;

  /** Bytes of shared memory that a block gets unasked. */
  private static final int ALWAYS_SHARED = 48 << 10;

  private final CUctx_st context = new CUctx_st();
  private final CUmod_st module = new CUmod_st();
  private final Map<String, CUfunc_st> functions = new HashMap<>();
  private final Parameters parameters = new Parameters();
  private final long workspace;
  private final Blas blas;

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
    int device = found[0];
    check(
        cudart.cuDeviceGetAttribute(
            found, cudart.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device),
        "cuDeviceGetAttribute");
    int capability = 10 * found[0];
    check(
        cudart.cuDeviceGetAttribute(
            found, cudart.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device),
        "cuDeviceGetAttribute");
    capability += found[0];
    check(cudart.cuDevicePrimaryCtxRetain(context, device), "cuDevicePrimaryCtxRetain");
    enter();
    boolean bf16 = precision == Precision.BF16;
    try (BytePointer cubin = new BytePointer(cubin(capability, bf16))) {
      check(cudart.cuModuleLoadData(module, cubin), "cuModuleLoadData");
    }
    workspace = allocate(WORKSPACE);
    blas = new Blas(workspace, WORKSPACE, precision == Precision.TF32);
  }

  /**
   * The number under which CUDA shows a device to this process. It need not be that of the bus, by
   * which nvidia-smi counts: CUDA has the fastest first.
   */
  static int ordinal(String uuid) {
    int[] found = new int[1];
    check(cudart.cuInit(0), "cuInit");
    check(cudart.cuDeviceGetCount(found), "cuDeviceGetCount");
    int count = found[0];
    try (CUuuid id = new CUuuid()) {
      for (int ordinal = 0; ordinal < count; ordinal++) {
        check(cudart.cuDeviceGet(found, ordinal), "cuDeviceGet");
        check(cudart.cuDeviceGetUuid(id, found[0]), "cuDeviceGetUuid");
        byte[] bytes = new byte[2 * Long.BYTES];
        id.bytes().get(bytes);
        if (spelled(bytes).equals(uuid)) {
          return ordinal;
        }
      }
    }
    throw new InvalidInput(
        "the GPU " + uuid,
        "it is none of the " + count + " devices that CUDA shows this process",
        "CUDA_DEVICE_ORDER=PCI_BUS_ID beside indices in CUDA_VISIBLE_DEVICES, for CUDA counts the"
            + " fastest first, or UUIDs in their place; and no MIG");
  }

  /** 16 bytes as nvidia-smi spells them. */
  static String spelled(byte[] uuid) {
    ByteBuffer bytes = ByteBuffer.wrap(uuid);
    return "GPU-" + new UUID(bytes.getLong(), bytes.getLong());
  }

  private static byte[] cubin(int capability, boolean bf16) {
    String source = Sources.all();
    String from = Nvrtc.version() + " sm_" + capability + Sources.options(bf16) + source;
    try {
      CubinCache cache = new CubinCache(Loader.getCacheDir().toPath());
      return cache.get(from, () -> Nvrtc.cubin(source, capability, bf16));
    } catch (IOException e) { // there is no such folder
      return Nvrtc.cubin(source, capability, bf16);
    }
  }

  /** A context belongs to a thread, and tasks come on any. */
  private void enter() {
    check(cudart.cuCtxSetCurrent(context), "cuCtxSetCurrent");
  }

  @Override
  public synchronized long allocate(long bytes) {
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
  public synchronized void free(long address) {
    enter();
    check(cudart.cuMemFree(address), "cuMemFree");
  }

  /** Page-locked, which the device reaches by itself: 80 MB in 2.4 ms instead of 6.3 on an H200. */
  @Override
  public synchronized ByteBuffer stage(int bytes) {
    enter();
    BytePointer host = new BytePointer((Pointer) null);
    check(cudart.cuMemAllocHost(host, bytes), "cuMemAllocHost");
    return host.limit(bytes).asByteBuffer();
  }

  @Override
  public synchronized void unstage(ByteBuffer staged) {
    enter();
    check(cudart.cuMemFreeHost(new BytePointer(staged).position(0)), "cuMemFreeHost");
  }

  @Override
  public synchronized void upload(ByteBuffer from, long to) {
    enter();
    try (BytePointer bytes = new BytePointer(direct(from))) {
      check(cudart.cuMemcpyHtoD(to, bytes, from.remaining()), "cuMemcpyHtoD");
    }
  }

  @Override
  public synchronized void download(long from, ByteBuffer into) {
    enter();
    int count = into.remaining();
    try (BytePointer bytes = new BytePointer(direct(into))) {
      check(cudart.cuMemcpyDtoH(bytes, from, count), "cuMemcpyDtoH");
    }
    into.position(into.position() + count);
  }

  /** An event behind the copy tells when it is there; who waits for it sleeps. */
  @Override
  public synchronized Arriving fetch(long from, ByteBuffer into) {
    enter();
    CUevent_st copied = new CUevent_st();
    int flags = cudart.CU_EVENT_DISABLE_TIMING | cudart.CU_EVENT_BLOCKING_SYNC;
    check(cudart.cuEventCreate(copied, flags), "cuEventCreate");
    try (BytePointer bytes = new BytePointer(direct(into))) {
      check(cudart.cuMemcpyDtoHAsync(bytes, from, into.remaining(), null), "cuMemcpyDtoHAsync");
    }
    check(cudart.cuEventRecord(copied, null), "cuEventRecord");
    return () -> {
      enter();
      check(cudart.cuEventSynchronize(copied), "cuEventSynchronize");
      check(cudart.cuEventDestroy(copied), "cuEventDestroy");
      copied.close();
    };
  }

  private static ByteBuffer direct(ByteBuffer buffer) {
    if (!buffer.isDirect()) {
      throw new IllegalArgumentException("the driver reads native memory");
    }
    return buffer;
  }

  @Override
  public synchronized void clear(long address, long bytes) {
    enter();
    check(cudart.cuMemsetD8(address, (byte) 0, bytes), "cuMemsetD8");
  }

  @Override
  public synchronized void launch(Launch launch) {
    enter();
    parameters.set(launch.arguments());
    check(
        cudart.cuLaunchKernel(
            functions.computeIfAbsent(launch.kernel(), name -> function(name, launch.shared())),
            launch.blocks(),
            1,
            1,
            launch.threads(),
            1,
            1,
            launch.shared(),
            null,
            parameters.places(),
            null),
        launch.kernel());
  }

  /** Loads a kernel; the bytes that its first launch shares are the most that it ever does. */
  private CUfunc_st function(String kernel, int shared) {
    CUfunc_st function = new CUfunc_st();
    check(cudart.cuModuleGetFunction(function, module, kernel), "cuModuleGetFunction " + kernel);
    if (shared > ALWAYS_SHARED) {
      check(
          cudart.cuFuncSetAttribute(
              function, cudart.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared),
          kernel + " needs " + shared + " bytes of shared memory: cuFuncSetAttribute");
    }
    return function;
  }

  @Override
  public synchronized void multiply(Product product) {
    enter();
    blas.multiply(product);
  }

  @Override
  public synchronized void close() {
    enter();
    check(cudart.cuMemFree(workspace), "cuMemFree");
    check(cudart.cuModuleUnload(module), "cuModuleUnload");
  }
}
