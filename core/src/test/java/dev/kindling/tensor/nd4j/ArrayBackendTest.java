package dev.kindling.tensor.nd4j;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.onednn.OneDnnBackend;

/** What computes through ND4J's CUDA backend, here through its CPU backend. */
class ArrayBackendTest extends BackendContract {
  @Override
  protected Backend open() {
    return new ArrayBackend("nd4j-cuda", new OneDnnBackend(Precision.FP32, 1));
  }
}
