package dev.kindling.job.sync;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * What a task of a step returns beside its sums.
 *
 * @param executor Spark's id of the executor
 * @param weightLoads how often its JVM has loaded frozen weights
 * @param nanos time in the model
 * @param payload encoded sums
 */
public record StepReport(String executor, int weightLoads, long nanos, byte[] payload) {
  /** A frame that {@link #decode} reads. */
  public byte[] encode() {
    byte[] name = executor.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(4 + name.length + 12 + payload.length)
        .putInt(name.length)
        .put(name)
        .putInt(weightLoads)
        .putLong(nanos)
        .put(payload)
        .array();
  }

  /** Reads a task's frame. */
  public static StepReport decode(byte[] encoded) {
    ByteBuffer frame = ByteBuffer.wrap(encoded);
    byte[] name = new byte[frame.getInt()];
    frame.get(name);
    int loads = frame.getInt();
    long nanos = frame.getLong();
    byte[] payload = new byte[frame.remaining()];
    frame.get(payload);
    return new StepReport(new String(name, StandardCharsets.UTF_8), loads, nanos, payload);
  }
}
