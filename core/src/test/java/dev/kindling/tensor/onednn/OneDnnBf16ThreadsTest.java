package dev.kindling.tensor.onednn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;

/** The contract in bf16 with more threads than pieces, and as many as do not divide them. */
class OneDnnBf16ThreadsTest extends Bf16Contract {
  @Override
  protected Backend open() {
    return new OneDnnBackend(Precision.BF16, 3);
  }
}
