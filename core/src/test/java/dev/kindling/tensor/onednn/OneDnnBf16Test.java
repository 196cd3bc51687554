package dev.kindling.tensor.onednn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.Precision;

class OneDnnBf16Test extends BackendContract {
  @Override
  protected Backend open() {
    return new OneDnnBackend(Precision.BF16, 1);
  }
}
