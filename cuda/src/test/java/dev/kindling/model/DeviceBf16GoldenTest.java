package dev.kindling.model;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.cuda.OnDevice;

/** The same in bf16, within the bounds of the CPU's bf16. */
class DeviceBf16GoldenTest extends Bf16GoldenTest {
  @Override
  Backend open() {
    return OnDevice.open(Precision.BF16);
  }
}
