package dev.kindling.tensor.nd4j;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;

class Nd4jBackendTest extends BackendContract {
  @Override
  protected Backend open() {
    return Nd4jBackend.open(1);
  }
}
