package dev.kindling.job.gpu;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.load.Compute;
import dev.kindling.tensor.load.Device;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;
import org.jspecify.annotations.Nullable;

/** The device that the task at hand was given. */
public final class TaskDevice {
  /** Looking a device up starts a process; it does not change while this one lives. */
  private static final Map<Asked, Device> KNOWN = new ConcurrentHashMap<>();

  private record Asked(Compute compute, Optional<String> address) {}

  private TaskDevice() {}

  /**
   * Outside of a task there is none.
   *
   * @throws InvalidInput if Spark gave the task several
   */
  public static Device of(Compute compute) {
    if (!compute.engine().gpu()) {
      return Device.CPU;
    }
    TaskContext task = TaskContext.get();
    Optional<String> address = task == null ? Optional.empty() : address(task);
    return KNOWN.computeIfAbsent(new Asked(compute, address), a -> compute.device(a.address));
  }

  private static Optional<String> address(TaskContext task) {
    @Nullable ResourceInformation given = task.resourcesJMap().get(GpuRequest.NAME);
    if (given == null) {
      // In local mode Spark hands nothing out, and the one task has the first device to itself.
      boolean local = SparkEnv.get().conf().get("spark.master", "").matches("local(\\[.*)?");
      return local ? Optional.of("0") : Optional.empty();
    }
    String[] addresses = given.addresses();
    if (addresses.length != 1) {
      throw new InvalidInput(
          "spark.task.resource.gpu.amount",
          "a task was given the GPUs " + String.join(", ", addresses),
          "one: set it to 1, or leave it out");
    }
    return Optional.of(addresses[0]);
  }
}
