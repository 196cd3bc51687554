package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.Precision;

/** The same with activations in half width. */
class DeviceBf16Test extends BackendContract {
  @Override
  protected Backend open() {
    return OnDevice.open(Precision.BF16);
  }
}
