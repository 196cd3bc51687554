package dev.kindling.tensor.onednn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.Precision;

class OneDnnFp32Test extends BackendContract {
  @Override
  protected Backend open() {
    return new OneDnnBackend(Precision.FP32, 1);
  }
}
