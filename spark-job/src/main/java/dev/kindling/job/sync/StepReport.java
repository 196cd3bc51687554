package dev.kindling.job.sync;

import dev.kindling.job.broadcast.MemoryUse;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.train.GradientSum;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * What a task of a step returns beside its sums.
 *
 * @param executor Spark's id of the executor
 * @param weightLoads how often its JVM has loaded frozen weights
 * @param nanos time in the model
 * @param memory of its JVM
 * @param numerics what its results' bits depend on; empty of a task that had nothing to do
 * @param payload encoded sums; empty of a task that had nothing to do
 */
public record StepReport(
    String executor,
    int weightLoads,
    long nanos,
    MemoryUse memory,
    String numerics,
    byte[] payload) {
  /** Three ints and three longs. */
  private static final int HEADER = 36;

  /** Whether the task computed anything. */
  public boolean worked() {
    return payload.length > 0;
  }

  /** Bytes of a frame with the sums of a layout. */
  public static long bytes(String executor, String numerics, AdapterLayout layout) {
    int[] exponents = GradientSum.firstExponents(layout);
    return (long) HEADER
        + executor.getBytes(StandardCharsets.UTF_8).length
        + numerics.getBytes(StandardCharsets.UTF_8).length
        + new GradientSum(layout, exponents, 1).encodedBytes();
  }

  /** A frame that {@link #decode} reads. */
  public byte[] encode() {
    byte[] name = executor.getBytes(StandardCharsets.UTF_8);
    byte[] numbers = numerics.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(HEADER + name.length + numbers.length + payload.length)
        .putInt(name.length)
        .put(name)
        .putInt(numbers.length)
        .put(numbers)
        .putInt(weightLoads)
        .putLong(nanos)
        .putLong(memory.nativeBytes())
        .putLong(memory.residentBytes())
        .put(payload)
        .array();
  }

  /** Reads a task's frame. */
  public static StepReport decode(byte[] encoded) {
    ByteBuffer frame = ByteBuffer.wrap(encoded);
    byte[] name = new byte[frame.getInt()];
    frame.get(name);
    byte[] numbers = new byte[frame.getInt()];
    frame.get(numbers);
    int loads = frame.getInt();
    long nanos = frame.getLong();
    MemoryUse memory = new MemoryUse(frame.getLong(), frame.getLong());
    byte[] payload = new byte[frame.remaining()];
    frame.get(payload);
    return new StepReport(
        new String(name, StandardCharsets.UTF_8),
        loads,
        nanos,
        memory,
        new String(numbers, StandardCharsets.UTF_8),
        payload);
  }
}
