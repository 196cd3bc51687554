package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.Precision;

/** The same with activations in half width, and attention in chunks of few queries. */
class CudaBf16Test extends BackendContract {
  @Override
  protected Backend open() {
    return Shimmed.open(Precision.BF16, 2000);
  }
}
