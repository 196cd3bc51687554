package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.Precision;

/** All that a backend owes, on a GPU. */
class DeviceFp32Test extends BackendContract {
  @Override
  protected Backend open() {
    return OnDevice.open(Precision.FP32);
  }
}
