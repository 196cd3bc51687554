package dev.kindling.train;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * What a worker brings to an averaging.
 *
 * @param steps what it says of each step since the last one
 * @param trainables after them
 * @param state its optimiser's, as {@link Update#flatState}
 */
public record WorkerResult(List<LocalStep> steps, float[] trainables, float[] state) {
  /** Labels that its steps learned from: its weight. */
  public long targets() {
    return steps.stream().mapToLong(step -> step.totals().targets()).sum();
  }

  /** Bytes that {@link #encode} writes: 4 for each float, and some 80 for each step. */
  public int encodedBytes() {
    return 2 * Integer.BYTES
        + steps.size() * LocalStep.ENCODED_BYTES
        + Float.BYTES * (trainables.length + state.length);
  }

  /** Appends it to a frame. */
  public void encode(ByteBuffer frame) {
    frame.putInt(steps.size());
    steps.forEach(step -> step.encode(frame));
    put(frame.putInt(trainables.length), trainables);
    put(frame, state);
  }

  private static void put(ByteBuffer frame, float[] values) {
    frame.asFloatBuffer().put(values);
    frame.position(frame.position() + Float.BYTES * values.length);
  }

  /** Reads what {@link #encode} wrote, to the end of the frame. */
  public static WorkerResult decode(ByteBuffer frame) {
    List<LocalStep> steps = new ArrayList<>();
    for (int n = frame.getInt(); n > 0; n--) {
      steps.add(LocalStep.decode(frame));
    }
    float[] trainables = take(frame, frame.getInt());
    return new WorkerResult(steps, trainables, take(frame, frame.remaining() / Float.BYTES));
  }

  private static float[] take(ByteBuffer frame, int elements) {
    float[] values = new float[elements];
    frame.asFloatBuffer().get(values);
    frame.position(frame.position() + Float.BYTES * elements);
    return values;
  }
}
