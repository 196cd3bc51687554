package dev.kindling.tensor.load;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import dev.kindling.tensor.onednn.InstructionSet;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.io.Serializable;
import java.util.Locale;

/**
 * How numbers are computed: the same everywhere in a run.
 *
 * @param threads of each operation of a task, at least 1
 */
public record Compute(Engine engine, Precision precision, int threads) implements Serializable {
  /**
   * What the bits of a result depend on besides its inputs: library, instruction set, precision,
   * threads, Java's major version. Two machines that say the same compute the same.
   */
  public String numerics() {
    boolean known = InstructionSet.available();
    String cpu = known ? InstructionSet.name() : System.getProperty("os.arch");
    String library = engine == Engine.ND4J ? Nd4jBackend.version() : InstructionSet.version();
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
   * A backend for one task.
   *
   * @throws InvalidInput if this machine cannot compute so
   */
  public Backend open() {
    if (engine == Engine.ND4J) {
      if (precision != Precision.FP32) {
        throw new InvalidInput(
            "train.precision",
            "bf16 with compute.backend = nd4j",
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
    return new OneDnnBackend(precision, threads);
  }
}
