package dev.kindling.job.gpu;

import dev.kindling.tensor.load.Compute;
import dev.kindling.tensor.load.Device;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import org.apache.spark.SparkEnv;

/**
 * What a task of an executor computes on, as it says itself.
 *
 * @param executor Spark's id of it
 * @param host its machine
 * @param uuid of its GPU; empty on the CPU
 * @param words the GPU's model, or why it is the CPU
 */
public record TaskSlot(String executor, String host, String uuid, String words) {
  /** Of the task at hand, to be sent to the driver. */
  public static byte[] here(Compute compute) {
    Device device = TaskDevice.of(compute);
    String uuid = device instanceof Device.Gpu gpu ? gpu.uuid() : "";
    String words = device instanceof Device.Gpu gpu ? gpu.model() : ((Device.Cpu) device).why();
    return new TaskSlot(SparkEnv.get().executorId(), machine(), uuid, words).encode();
  }

  private static String machine() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (java.net.UnknownHostException e) {
      return "its machine";
    }
  }

  byte[] encode() {
    String line = words.replaceAll("\\s+", " ");
    return String.join("\n", executor, host, uuid, line).getBytes(StandardCharsets.UTF_8);
  }

  /** Reads what {@link #here} made. */
  public static TaskSlot decode(byte[] frame) {
    String[] lines = new String(frame, StandardCharsets.UTF_8).split("\n", 4);
    return new TaskSlot(lines[0], lines[1], lines[2], lines[3]);
  }

  boolean gpu() {
    return !uuid.isEmpty();
  }

  /** For messages. */
  String told() {
    return "executor " + executor + " on " + host + ": " + words;
  }
}
