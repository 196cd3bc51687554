package dev.kindling.job.sync;

import dev.kindling.job.broadcast.MemoryUse;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.train.GradientSum;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/**
 * What a task of a step returns beside its sums.
 *
 * @param executor Spark's id of the executor
 * @param weightLoads how often its JVM has loaded frozen weights
 * @param nanos time in the model
 * @param memory of its JVM
 * @param numerics what its results' bits depend on; empty of a task that had nothing to do
 * @param gpu UUID of the device that it computed on; empty on the CPU
 */
public record StepReport(
    String executor, int weightLoads, long nanos, MemoryUse memory, String numerics, String gpu) {
  /** Four ints and three longs. */
  private static final int HEADER = 40;

  /**
   * What a task brings, written straight into its frame: of ten million trainables a copy more is
   * 80 MB of an executor's heap.
   *
   * @param bytes that {@code into} appends; 0 of a task that had nothing to do
   */
  public record Payload(int bytes, Consumer<ByteBuffer> into) {
    static final Payload NONE = new Payload(0, frame -> {});
  }

  /**
   * A frame that was read.
   *
   * @param payload the rest of it
   */
  public record Read(StepReport report, ByteBuffer payload) {
    /** Whether the task computed anything. */
    public boolean worked() {
      return payload.hasRemaining();
    }
  }

  /** Bytes of a frame with the sums of a layout. */
  public static long bytes(String executor, String numerics, AdapterLayout layout) {
    int[] exponents = GradientSum.firstExponents(layout);
    return (long) HEADER
        + executor.getBytes(StandardCharsets.UTF_8).length
        + numerics.getBytes(StandardCharsets.UTF_8).length
        + new GradientSum(layout, exponents, 1).mostBytes();
  }

  /** A frame that {@link #decode} reads. */
  public byte[] encode(Payload payload) {
    byte[] name = executor.getBytes(StandardCharsets.UTF_8);
    byte[] numbers = numerics.getBytes(StandardCharsets.UTF_8);
    byte[] device = gpu.getBytes(StandardCharsets.UTF_8);
    ByteBuffer frame =
        ByteBuffer.allocate(HEADER + name.length + numbers.length + device.length + payload.bytes())
            .putInt(name.length)
            .put(name)
            .putInt(numbers.length)
            .put(numbers)
            .putInt(device.length)
            .put(device)
            .putInt(weightLoads)
            .putLong(nanos)
            .putLong(memory.nativeBytes())
            .putLong(memory.residentBytes());
    payload.into().accept(frame);
    return frame.array();
  }

  /** Reads a task's frame. */
  public static Read decode(byte[] encoded) {
    ByteBuffer frame = ByteBuffer.wrap(encoded);
    String name = text(frame);
    String numbers = text(frame);
    String device = text(frame);
    int loads = frame.getInt();
    long nanos = frame.getLong();
    MemoryUse memory = new MemoryUse(frame.getLong(), frame.getLong());
    StepReport report = new StepReport(name, loads, nanos, memory, numbers, device);
    return new Read(report, frame.slice());
  }

  private static String text(ByteBuffer frame) {
    byte[] bytes = new byte[frame.getInt()];
    frame.get(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
