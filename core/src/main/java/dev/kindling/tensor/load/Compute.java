package dev.kindling.tensor.load;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import dev.kindling.tensor.onednn.InstructionSet;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.io.Serializable;

/**
 * How numbers are computed: the same everywhere in a run.
 *
 * @param threads of each operation of a task, at least 1
 */
public record Compute(Engine engine, Precision precision, int threads) implements Serializable {
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
