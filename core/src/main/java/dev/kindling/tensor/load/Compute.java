package dev.kindling.tensor.load;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import dev.kindling.tensor.onednn.InstructionSet;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.io.Serializable;
import java.util.Locale;
import java.util.Optional;

/**
 * How numbers are computed: the same everywhere in a run.
 *
 * @param threads of each operation of a task on the CPU, at least 1
 */
public record Compute(Engine engine, Precision precision, int threads) implements Serializable {
  /**
   * What the bits of a result depend on besides its inputs: library, instruction set or device,
   * precision, threads, Java's major version. Two machines that say the same compute the same.
   */
  public String numerics(Device device) {
    if (device instanceof Device.Gpu gpu) {
      return String.format(
          Locale.ROOT,
          "%s, %s, java %d",
          GpuEngine.of(engine).numerics(gpu),
          precision.name().toLowerCase(Locale.ROOT),
          Runtime.version().feature());
    }
    boolean known = InstructionSet.available();
    String cpu = known ? InstructionSet.name() : System.getProperty("os.arch");
    String library = onCpu() == Engine.ND4J ? Nd4jBackend.version() : InstructionSet.version();
    return String.format(
        Locale.ROOT,
        "%s, %s, %s, %d thread(s), java %d",
        library,
        cpu,
        precision.name().toLowerCase(Locale.ROOT),
        threads,
        Runtime.version().feature());
  }

  /**
   * What to compute on.
   *
   * @param address of the GPU that a task was given, if it was given one
   */
  public Device device(Optional<String> address) {
    if (!engine.gpu()) {
      return Device.CPU;
    }
    return address
        .map(given -> GpuEngine.of(engine).device(given, precision))
        .orElse(new Device.Cpu("its tasks are given no GPU"));
  }

  /**
   * A backend for one task.
   *
   * @throws InvalidInput if this machine cannot compute so
   */
  public Backend open(Device device) {
    return device instanceof Device.Gpu gpu
        ? GpuEngine.of(engine).open(precision, gpu)
        : openOnCpu();
  }

  /** A backend that is asked for types and sizes only; needs no GPU. */
  public Backend sizes() {
    return engine.gpu() ? GpuEngine.of(engine).sizes(precision) : openOnCpu();
  }

  /** What computes where there is no GPU. */
  private Engine onCpu() {
    return engine.gpu() ? Engine.best() : engine;
  }

  /** There is no TF32: what is left out of fp32 is less there. */
  private Backend openOnCpu() {
    Precision onCpu = precision == Precision.TF32 ? Precision.FP32 : precision;
    if (onCpu() == Engine.ND4J) {
      if (onCpu != Precision.FP32) {
        throw new InvalidInput(
            "train.precision",
            precision.spelled() + " with compute.backend = nd4j",
            "fp32, or compute.backend = onednn");
      }
      return Nd4jBackend.open(threads);
    }
    if (precision == Precision.BF16 && !InstructionSet.multipliesBf16()) {
      throw new InvalidInput(
          "train.precision",
          "bf16 on a CPU with " + InstructionSet.name(),
          "AVX-512 BF16 or AMX on every executor; fp32 runs everywhere");
    }
    return new OneDnnBackend(onCpu, threads);
  }
}
