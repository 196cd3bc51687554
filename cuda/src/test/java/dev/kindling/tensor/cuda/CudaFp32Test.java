package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.Precision;

/** All that a backend owes, by the kernels themselves on the CPU. */
class CudaFp32Test extends BackendContract {
  @Override
  protected Backend open() {
    return Shimmed.open(Precision.FP32, CudaBackend.MOST_SCORES);
  }
}
