package dev.kindling.tensor.cuda;

import static dev.kindling.tensor.cuda.Calls.checkNvrtc;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.global.nvrtc;
import org.bytedeco.cuda.nvrtc._nvrtcProgram;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.SizeTPointer;

/** Compiles the kernels for the device at hand, to its machine code. */
final class Nvrtc {
  private Nvrtc() {}

  /** The compiler's version, as 13.0. */
  static String version() {
    int[] major = new int[1];
    int[] minor = new int[1];
    checkNvrtc(nvrtc.nvrtcVersion(major, minor), "nvrtcVersion");
    return major[0] + "." + minor[0];
  }

  /**
   * A cubin.
   *
   * @param capability ten times the major version, and the minor: 90
   * @throws IllegalStateException with the compiler's words
   */
  static byte[] cubin(String source, int capability, boolean bf16) {
    List<String> options = new ArrayList<>(Sources.options(bf16));
    options.add("--gpu-architecture=sm_" + capability);
    _nvrtcProgram program = new _nvrtcProgram();
    PointerPointer<BytePointer> none = new PointerPointer<>((BytePointer) null);
    try (BytePointer text = new BytePointer(source);
        BytePointer name = new BytePointer("kindling.cu");
        PointerPointer<BytePointer> words = new PointerPointer<>(options.toArray(new String[0]));
        SizeTPointer size = new SizeTPointer(1)) {
      checkNvrtc(
          nvrtc.nvrtcCreateProgram(program, text, name, 0, none, none), "nvrtcCreateProgram");
      int code = nvrtc.nvrtcCompileProgram(program, options.size(), words);
      if (code != 0) {
        throw new IllegalStateException("kernels do not compile: " + log(program, size));
      }
      checkNvrtc(nvrtc.nvrtcGetCUBINSize(program, size), "nvrtcGetCUBINSize");
      byte[] cubin = new byte[Math.toIntExact(size.get())];
      checkNvrtc(nvrtc.nvrtcGetCUBIN(program, cubin), "nvrtcGetCUBIN");
      return cubin;
    } finally {
      nvrtc.nvrtcDestroyProgram(program);
    }
  }

  private static String log(_nvrtcProgram program, SizeTPointer size) {
    checkNvrtc(nvrtc.nvrtcGetProgramLogSize(program, size), "nvrtcGetProgramLogSize");
    byte[] log = new byte[Math.toIntExact(size.get())];
    checkNvrtc(nvrtc.nvrtcGetProgramLog(program, log), "nvrtcGetProgramLog");
    return new BytePointer(log).getString();
  }
}
