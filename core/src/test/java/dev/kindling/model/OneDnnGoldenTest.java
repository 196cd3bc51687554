package dev.kindling.model;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.onednn.OneDnnBackend;

/** The same under oneDNN in fp32, at the same tolerances. */
class OneDnnGoldenTest extends GoldenTest {
  @Override
  Backend open() {
    return new OneDnnBackend(Precision.FP32, 1);
  }
}
