package dev.kindling.job.sync;

import dev.kindling.job.broadcast.MemoryUse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.Consumer;

/**
 * What a task of a step returns beside its sums.
 *
 * @param executor Spark's id of the executor
 * @param host its machine, as Spark calls it
 * @param weightLoads how often its JVM has loaded frozen weights
 * @param nanos time in the model
 * @param memory of its JVM
 * @param numerics what its results' bits depend on; empty of a task that had nothing to do
 * @param gpu UUID of the device that it computed on; empty on the CPU
 */
public record StepReport(
    String executor,
    String host,
    int weightLoads,
    long nanos,
    MemoryUse memory,
    String numerics,
    String gpu) {
  /** Five ints and three longs. */
  private static final int HEADER = 44;

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
      return report.worked();
    }
  }

  /** Whether the task computed anything. */
  public boolean worked() {
    return !numerics.isEmpty();
  }

  /** Bytes of a frame on a CPU, without what the task brings. */
  public static long bytes(String executor, String host, String numerics) {
    return (long) HEADER
        + executor.getBytes(StandardCharsets.UTF_8).length
        + host.getBytes(StandardCharsets.UTF_8).length
        + numerics.getBytes(StandardCharsets.UTF_8).length;
  }

  /** A frame that {@link #decode} reads. */
  public byte[] encode(Payload payload) {
    byte[] name = executor.getBytes(StandardCharsets.UTF_8);
    byte[] machine = host.getBytes(StandardCharsets.UTF_8);
    byte[] numbers = numerics.getBytes(StandardCharsets.UTF_8);
    byte[] device = gpu.getBytes(StandardCharsets.UTF_8);
    ByteBuffer frame =
        ByteBuffer.allocate(
                HEADER
                    + name.length
                    + machine.length
                    + numbers.length
                    + device.length
                    + payload.bytes())
            .putInt(name.length)
            .put(name)
            .putInt(machine.length)
            .put(machine)
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
    String machine = text(frame);
    String numbers = text(frame);
    String device = text(frame);
    int loads = frame.getInt();
    long nanos = frame.getLong();
    MemoryUse memory = new MemoryUse(frame.getLong(), frame.getLong());
    StepReport report = new StepReport(name, machine, loads, nanos, memory, numbers, device);
    return new Read(report, frame.slice());
  }

  /** The frame of the same report alone. */
  static byte[] withoutPayload(byte[] encoded) {
    return Arrays.copyOf(encoded, encoded.length - decode(encoded).payload().remaining());
  }

  private static String text(ByteBuffer frame) {
    byte[] bytes = new byte[frame.getInt()];
    frame.get(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
