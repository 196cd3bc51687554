package dev.kindling.tensor.onednn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;

class OneDnnBf16Test extends Bf16Contract {
  @Override
  protected Backend open() {
    return new OneDnnBackend(Precision.BF16, 1);
  }
}
