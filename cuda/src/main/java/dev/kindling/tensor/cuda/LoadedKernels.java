package dev.kindling.tensor.cuda;

import static dev.kindling.tensor.cuda.Calls.check;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.bytedeco.cuda.cudart.CUfunc_st;
import org.bytedeco.cuda.cudart.CUmod_st;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;

/** Mutable: our kernels on a real device. For whoever has the context set. */
final class LoadedKernels {
  /** Bytes of shared memory that a block gets unasked. */
  private static final int ALWAYS_SHARED = 48 << 10;

  private final CUmod_st module = new CUmod_st();
  private final Map<String, CUfunc_st> functions = new HashMap<>();
  private final Parameters parameters = new Parameters();

  /**
   * Compiles them, or finds what was compiled before.
   *
   * @param capability of the device, as 90
   * @param bf16 whether activations are
   */
  LoadedKernels(int capability, boolean bf16) {
    try (BytePointer cubin = new BytePointer(cubin(capability, bf16))) {
      check(cudart.cuModuleLoadData(module, cubin), "cuModuleLoadData");
    }
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

  void launch(Launch launch, Stream stream) {
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
            stream.handle(),
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

  void close() {
    check(cudart.cuModuleUnload(module), "cuModuleUnload");
  }
}
