package dev.kindling.job.gpu;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.load.Device;
import dev.kindling.tensor.load.Engine;
import dev.kindling.tensor.load.GpuEngine;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.apache.spark.SparkEnv;

/**
 * GPUs that are none: any address is a device, which computes on the CPU and writes down for whom
 * it was opened. In a jar beside the job's it stands for the CUDA engine.
 */
public final class RecordedGpus implements GpuEngine {
  /** Names the file, in the environment of executors. */
  public static final String RECORD = "KINDLING_RECORD";

  /** In the environment: the address at which there is none after all. */
  public static final String NONE = "KINDLING_NO_GPU";

  /** In the environment: bytes that each of them has. */
  public static final String BYTES = "KINDLING_GPU_BYTES";

  @Override
  public Engine engine() {
    return Engine.CUDA;
  }

  @Override
  public Device device(String address, Precision precision) {
    long bytes = Long.parseLong(System.getenv().getOrDefault(BYTES, "0"));
    return address.equals(System.getenv(NONE))
        ? new Device.Cpu("no NVIDIA driver was found")
        : new Device.Gpu(address, "GPU-fake-" + address, "no GPU at all", bytes);
  }

  @Override
  public Backend open(Precision precision, Device.Gpu device) {
    String line = SparkEnv.get().executorId() + " " + device.address() + "\n";
    try {
      Files.writeString(
          Path.of(System.getenv(RECORD)),
          line,
          StandardOpenOption.CREATE,
          StandardOpenOption.APPEND);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new OneDnnBackend(precision, 1);
  }

  @Override
  public Backend sizes(Precision precision) {
    return new OneDnnBackend(precision, 1);
  }

  @Override
  public String numerics(Device.Gpu device) {
    return device.model();
  }
}
