package dev.kindling.tensor.nd4jcuda;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.gpu.Address;
import dev.kindling.tensor.gpu.Guard.Wanted;
import dev.kindling.tensor.gpu.MachineReader;
import dev.kindling.tensor.load.Device;
import dev.kindling.tensor.load.Engine;
import dev.kindling.tensor.load.GpuEngine;
import dev.kindling.tensor.nd4j.ArrayBackend;
import dev.kindling.tensor.onednn.OneDnnBackend;
import org.nd4j.linalg.factory.Nd4j;

/** Products by ND4J's CUDA backend, everything else by oneDNN. */
public final class Nd4jCudaEngine implements GpuEngine {
  @Override
  public Engine engine() {
    return Engine.ND4J_CUDA;
  }

  /** Asks the guard, and loads no class of ND4J. */
  @Override
  public Device device(String address, Precision precision) {
    return GpuEngine.device(new MachineReader().read(), Address.here(), address, Wanted.ND4J_CUDA);
  }

  @Override
  public Backend open(Precision precision, Device.Gpu device) {
    int ordinal =
        Address.here()
            .ordinal(new MachineReader().read(), device.address())
            .orElseThrow(() -> new IllegalStateException(device + " has gone"));
    String backend = Nd4j.getBackend().getClass().getSimpleName();
    if (!backend.equals("JCublasBackend")) { // it takes the CPU without a word
      throw new InvalidInput(
          "compute.backend",
          "nd4j-cuda, and ND4J has chosen " + backend,
          "its CUDA backend with its libraries: see docs/gpu.md");
    }
    Nd4j.getAffinityManager().unsafeSetDevice(ordinal);
    return sizes(precision);
  }

  @Override
  public Backend sizes(Precision precision) {
    if (precision != Precision.FP32) {
      throw new InvalidInput(
          "train.precision",
          precision.spelled() + " with compute.backend = nd4j-cuda",
          "fp32, or compute.backend = cuda");
    }
    return new ArrayBackend(engine().spelled(), new OneDnnBackend(precision, 1));
  }

  @Override
  public String numerics(Device.Gpu device) {
    return "nd4j on CUDA 11.6, " + device.model();
  }
}
