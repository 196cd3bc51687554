package dev.kindling.tensor.onednn;

import dev.kindling.tensor.cpu.CpuMemory;
import java.util.Locale;
import org.bytedeco.dnnl.global.dnnl;

/** What oneDNN finds on this machine. */
public final class InstructionSet {
  static {
    CpuMemory.lifted(); // often the first to load a class of JavaCPP
  }

  private InstructionSet() {}

  /** Whether this machine has oneDNN's native library. */
  public static boolean available() {
    try {
      return !name().isEmpty();
    } catch (LinkageError e) { // no native library for this platform, or not in this jar
      return false;
    }
  }

  /** What oneDNN calls what it uses. */
  public static String name() {
    return dnnl.get_effective_cpu_isa().intern().name();
  }

  /** The library. */
  public static String version() {
    var version = dnnl.dnnl_version();
    return String.format(
        Locale.ROOT, "onednn %d.%d.%d", version.major(), version.minor(), version.patch());
  }

  /** Whether oneDNN copies between BF16 and F32 by vectors on this CPU: from AVX-512 on. */
  static boolean widensBf16() {
    String isa = name();
    return isa.contains("avx512") || isa.contains("amx") || isa.contains("avx10");
  }

  /** Whether this is an x86-64 CPU with AVX2 and without AVX-512. */
  static boolean endsWithAvx2() {
    return name().startsWith("avx2");
  }

  /** Whether this CPU multiplies bf16 in hardware: AMX, AVX10 or AVX-512 BF16. */
  public static boolean multipliesBf16() {
    String isa = name();
    return isa.contains("bf16") || isa.contains("amx") || isa.contains("avx10");
  }
}
