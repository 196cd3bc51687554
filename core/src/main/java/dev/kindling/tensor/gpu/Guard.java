package dev.kindling.tensor.gpu;

import dev.kindling.tensor.gpu.Machine.Bindings;
import dev.kindling.tensor.gpu.Machine.Card;
import dev.kindling.tensor.gpu.Machine.Driver;
import dev.kindling.tensor.gpu.Machine.Library;
import java.util.List;
import java.util.Optional;

/**
 * Which engine may compute on a GPU, by what is known of the machine. A pure function: the table of
 * its decisions is its test.
 */
public final class Guard {
  /** First driver of CUDA 13.0 (CUDA 13.0 release notes, table of driver versions). */
  static final Driver FOR_CUDA_13 = new Driver(580, 65);

  /** First driver that runs any CUDA 11 (minor version compatibility, ibid.). */
  static final Driver FOR_CUDA_11 = new Driver(450, 80);

  /** CUDA 13 has no code for what came before Turing. */
  static final int FIRST_FOR_CUDA_13 = 75;

  /** Tensor cores of BF16 and TF32 came with Ampere. */
  static final int FIRST_THAT_ROUNDS = 80;

  /**
   * Kernels of nd4j-cuda-11.6 M2.1 are machine code for 3.7 to 8.6 without PTX: that of 8.6 runs on
   * 8.9, none on Hopper.
   */
  static final int FIRST_FOR_ND4J = 37;

  static final int LAST_FOR_ND4J = 89;

  private Guard() {}

  /** What a configuration asks for. */
  public enum Wanted {
    CPU,
    CUDA,
    /** With products in BF16 or TF32. */
    CUDA_ROUNDED,
    ND4J_CUDA
  }

  /** What is to be done. */
  public sealed interface Decision {}

  /** Compute with our own kernels and CUDA 13. */
  public record Cuda13() implements Decision {}

  /** Compute with ND4J's backend. */
  public record Nd4jCuda() implements Decision {}

  /**
   * Compute on the CPU.
   *
   * @param why there is nothing else; empty if nothing else was wanted
   */
  public record Cpu(String why) implements Decision {}

  /**
   * There is a GPU, and it cannot be used so.
   *
   * @param advice what was found, and what to do
   */
  public record Refused(String advice) implements Decision {}

  /**
   * Decides for one device.
   *
   * @param card the device; empty if there is none
   */
  public static Decision decide(Machine machine, Optional<Card> card, Wanted wanted) {
    if (wanted == Wanted.CPU) {
      return new Cpu("");
    }
    if (machine.driver().isEmpty()) {
      return new Cpu("no NVIDIA driver was found (nvidia-smi is not there, or fails)");
    }
    if (card.isEmpty()) {
      return new Cpu("there is no such GPU");
    }
    if (machine.bindings().containsAll(List.of(Bindings.values()))) {
      return new Refused(
          "the jars of cuda and of nd4j-cuda are both on the class path, where one would load the"
              + " other's libraries: leave one of them out");
    }
    Driver driver = machine.driver().get();
    return wanted == Wanted.ND4J_CUDA
        ? nd4j(machine, driver, card.get())
        : cuda(machine, driver, card.get(), wanted == Wanted.CUDA_ROUNDED);
  }

  private static Decision cuda(Machine machine, Driver driver, Card card, boolean rounded) {
    if (!driver.atLeast(FOR_CUDA_13)) {
      return new Refused(
          "the driver is "
              + driver
              + ", and CUDA 13 needs "
              + FOR_CUDA_13
              + " or later: install it"
              + (suitsNd4j(card) ? ", or set compute.backend = nd4j-cuda" : ""));
    }
    if (card.capability() < FIRST_FOR_CUDA_13) {
      return new Refused(
          card.told()
              + " is older than CUDA 13, which begins at 7.5: set compute.backend = "
              + (suitsNd4j(card) ? "nd4j-cuda, or auto for the CPU" : "auto for the CPU"));
    }
    if (rounded && card.capability() < FIRST_THAT_ROUNDS) {
      return new Refused(
          "train.precision = bf16 and tf32 need compute capability 8.0 (Ampere), and this is "
              + card.told()
              + ": set train.precision = fp32");
    }
    List<String> missing =
        List.of(Library.CUDART_13, Library.CUBLASLT_13, Library.NVRTC_13).stream()
            .filter(library -> !machine.libraries().contains(library))
            .map(Library::file)
            .toList();
    if (!missing.isEmpty()) {
      return new Refused(
          String.join(", ", missing)
              + " not found: install the CUDA 13 toolkit, or add the folders that hold them (of"
              + " PyTorch's nvidia packages, for example) to LD_LIBRARY_PATH of the executors, by"
              + " spark.executorEnv.LD_LIBRARY_PATH");
    }
    return new Cuda13();
  }

  private static boolean suitsNd4j(Card card) {
    return card.capability() >= FIRST_FOR_ND4J && card.capability() <= LAST_FOR_ND4J;
  }

  private static Decision nd4j(Machine machine, Driver driver, Card card) {
    if (!driver.atLeast(FOR_CUDA_11)) {
      return new Refused(
          "the driver is "
              + driver
              + ", and CUDA 11 needs "
              + FOR_CUDA_11
              + " or later: install it");
    }
    if (!suitsNd4j(card)) {
      boolean later = card.capability() > LAST_FOR_ND4J;
      return new Refused(
          card.told()
              + (later
                  ? " came after ND4J's CUDA backend, which has no code for it: set compute.backend"
                      + " = cuda, or auto for the CPU"
                  : " is older than ND4J's CUDA backend: set compute.backend = auto for the CPU"));
    }
    if (!machine.libraries().contains(Library.CUBLAS_11)) {
      return new Refused(
          Library.CUBLAS_11.file()
              + " not found: build the jar with its libraries (mvn package -Pnd4j-cuda"
              + " -Dcuda.redist), or install CUDA 11.6 on the executors");
    }
    return new Nd4jCuda();
  }
}
