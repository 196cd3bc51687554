package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;

/** The engine's kernels on the CPU, for tests of whole models. */
public final class OnShim {
  private OnShim() {}

  /** A backend of its own. */
  public static Backend open(Precision precision) {
    return Shimmed.open(precision, CudaBackend.MOST_SCORES);
  }
}
