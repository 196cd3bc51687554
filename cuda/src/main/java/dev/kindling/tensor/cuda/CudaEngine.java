package dev.kindling.tensor.cuda;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.gpu.Address;
import dev.kindling.tensor.gpu.Guard.Wanted;
import dev.kindling.tensor.gpu.MachineReader;
import dev.kindling.tensor.load.Device;
import dev.kindling.tensor.load.Engine;
import dev.kindling.tensor.load.GpuEngine;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Opens devices, each once in a process: weights and kernels of all its tasks are there. */
public final class CudaEngine implements GpuEngine {
  private static final Map<Opened, WorkQueue> QUEUES = new ConcurrentHashMap<>();

  private record Opened(String uuid, Precision precision) {}

  @Override
  public Engine engine() {
    return Engine.CUDA;
  }

  @Override
  public Device device(String address, Precision precision) {
    Wanted wanted = precision.rounds() ? Wanted.CUDA_ROUNDED : Wanted.CUDA;
    return GpuEngine.device(new MachineReader().read(), Address.here(), address, wanted);
  }

  @Override
  public Backend open(Precision precision, Device.Gpu device) {
    try {
      WorkQueue queue =
          QUEUES.computeIfAbsent(
              new Opened(device.uuid(), precision),
              opened -> WorkQueue.of(new CudaDriver(DeviceNumbers.of(opened.uuid()), precision)));
      return new CudaBackend(precision, queue, CudaBackend.MOST_SCORES);
    } catch (LinkageError e) { // files that are there are not always those that can be loaded
      Throwable first = e; // the second time it says only that there was a first
      while (first.getCause() != null) {
        first = first.getCause();
      }
      throw new InvalidInput(
          "compute.backend",
          "cuda, and CUDA's libraries cannot be loaded: " + first.getMessage(),
          "the driver's libcuda.so.1, and libcudart, libcublasLt and libnvrtc of one CUDA 13, on"
              + " LD_LIBRARY_PATH of the executors (spark.executorEnv.LD_LIBRARY_PATH)");
    }
  }

  @Override
  public Backend sizes(Precision precision) {
    WorkQueue none = WorkQueue.oneByOne(new NoDevice());
    return new CudaBackend(precision, none, CudaBackend.MOST_SCORES);
  }

  @Override
  public String numerics(Device.Gpu device) {
    return "cublasLt " + Blas.version() + ", NVRTC " + Nvrtc.version() + ", " + device.model();
  }
}
