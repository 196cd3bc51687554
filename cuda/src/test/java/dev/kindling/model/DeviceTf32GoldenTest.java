package dev.kindling.model;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.cuda.OnDevice;

/** The same in TF32, within the bounds of bf16. */
class DeviceTf32GoldenTest extends Bf16GoldenTest {
  @Override
  Backend open() {
    return OnDevice.open(Precision.TF32);
  }
}
