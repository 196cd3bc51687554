package dev.kindling.model;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.cuda.OnDevice;

/** PyTorch's float64 vectors on a GPU in fp32, at the tolerances of the CPU. */
class DeviceGoldenTest extends GoldenTest {
  @Override
  Backend open() {
    return OnDevice.open(Precision.FP32);
  }
}
