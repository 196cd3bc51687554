package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.gpu.Address;
import dev.kindling.tensor.gpu.Guard.Wanted;
import dev.kindling.tensor.gpu.Machine;
import dev.kindling.tensor.gpu.MachineReader;
import dev.kindling.tensor.load.Device;
import dev.kindling.tensor.load.Engine;
import dev.kindling.tensor.load.GpuEngine;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Opens devices, each once in a process: weights and kernels of all its tasks are there. */
public final class CudaEngine implements GpuEngine {
  private static final Map<Opened, Driver> DRIVERS = new ConcurrentHashMap<>();

  private record Opened(String uuid, Precision precision) {}

  @Override
  public Engine engine() {
    return Engine.CUDA;
  }

  @Override
  public Device device(String address) {
    return GpuEngine.device(new MachineReader().read(), Address.here(), address, Wanted.CUDA);
  }

  @Override
  public Backend open(Precision precision, Device.Gpu device) {
    Driver driver =
        DRIVERS.computeIfAbsent(
            new Opened(device.uuid(), precision),
            opened -> new CudaDriver(ordinal(device), precision));
    return new CudaBackend(precision, driver, CudaBackend.MOST_SCORES);
  }

  private static int ordinal(Device.Gpu device) {
    Machine machine = new MachineReader().read();
    return Address.here()
        .ordinal(machine, device.address())
        .orElseThrow(() -> new IllegalStateException(device + " has gone"));
  }

  @Override
  public Backend sizes(Precision precision) {
    return new CudaBackend(precision, new NoDevice(), CudaBackend.MOST_SCORES);
  }

  @Override
  public String numerics(Device.Gpu device) {
    return "cuda 13, " + device.model();
  }
}
