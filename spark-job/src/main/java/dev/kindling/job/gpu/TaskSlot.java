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
 * @param bytes of its memory; 0 if unknown
 * @param words the GPU's model, or why it is the CPU
 */
public record TaskSlot(String executor, String host, String uuid, long bytes, String words) {
  /** Of the task at hand, to be sent to the driver. */
  public static byte[] here(Compute compute) {
    Device device = TaskDevice.of(compute);
    String uuid = device instanceof Device.Gpu gpu ? gpu.uuid() : "";
    long bytes = device instanceof Device.Gpu gpu ? gpu.bytes() : 0;
    String words = device instanceof Device.Gpu gpu ? gpu.model() : ((Device.Cpu) device).why();
    return new TaskSlot(SparkEnv.get().executorId(), machine(), uuid, bytes, words).encode();
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
    return String.join("\n", executor, host, uuid, String.valueOf(bytes), line)
        .getBytes(StandardCharsets.UTF_8);
  }

  /** Reads what {@link #here} made. */
  public static TaskSlot decode(byte[] frame) {
    String[] lines = new String(frame, StandardCharsets.UTF_8).split("\n", 5);
    return new TaskSlot(lines[0], lines[1], lines[2], Long.parseLong(lines[3]), lines[4]);
  }

  boolean gpu() {
    return !uuid.isEmpty();
  }

  /** For messages. */
  String told() {
    return "executor " + executor + " on " + host + ": " + words;
  }
}
