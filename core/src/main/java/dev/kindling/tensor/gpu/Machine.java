package dev.kindling.tensor.gpu;

import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * What a machine has for computing on GPUs.
 *
 * @param driver version of NVIDIA's; empty if there is none
 * @param gpus in the order of the bus; those that this process may not see included
 * @param libraries that a process here would find
 * @param bindings on the class path
 */
public record Machine(
    Optional<Driver> driver, List<Card> gpus, Set<Library> libraries, Set<Bindings> bindings) {
  /** A driver's version, as 580.65. */
  public record Driver(int major, int minor) {
    /** Whether it is that version or a later one. */
    public boolean atLeast(Driver other) {
      return major != other.major ? major > other.major : minor >= other.minor;
    }

    @Override
    public String toString() {
      return major + "." + (minor < 10 ? "0" : "") + minor;
    }
  }

  /**
   * A GPU.
   *
   * @param index in the order of the bus
   * @param capability ten times the major version of its instructions, and the minor: 90 is Hopper;
   *     0 where the driver is too old to tell
   * @param bytes of its memory
   */
  public record Card(int index, String uuid, String model, int capability, long bytes) {
    /** For people: 9.0. */
    String told() {
      return model + " (compute capability " + capability / 10 + "." + capability % 10 + ")";
    }
  }

  /** Shared libraries, by the names under which they are loaded. */
  public enum Library {
    CUDART_13("libcudart.so.13"),
    CUBLASLT_13("libcublasLt.so.13"),
    NVRTC_13("libnvrtc.so.13"),
    /** A part of the 1.8 GB that come with ND4J's CUDA backend, for all of them. */
    CUBLAS_11("libcublas.so.11");

    private final String file;

    Library(String file) {
      this.file = file;
    }

    /** The name of the file. */
    public String file() {
      return file;
    }
  }

  /** Jars that bind CUDA: one artifact in two versions, so that only one of them may be there. */
  public enum Bindings {
    CUDA_13("dev/kindling/tensor/cuda/CudaEngine.class"),
    ND4J_CUDA("org/nd4j/linalg/jcublas/JCublasBackend.class");

    private final String entry;

    Bindings(String entry) {
      this.entry = entry;
    }

    /** What is in that jar alone. */
    String entry() {
      return entry;
    }
  }
}
