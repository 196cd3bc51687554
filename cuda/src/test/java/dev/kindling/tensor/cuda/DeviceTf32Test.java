package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Precision;

/** The same with operands rounded to 11 bits: each product off by 2^-11 of its factors at most. */
class DeviceTf32Test extends BackendContract {
  @Override
  protected Backend open() {
    return OnDevice.open(Precision.TF32);
  }

  @Override
  protected double tolerance(DType type) {
    return type == DType.F32 ? 2e-3 : super.tolerance(type);
  }
}
