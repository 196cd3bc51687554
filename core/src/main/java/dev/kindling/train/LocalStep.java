package dev.kindling.train;

import java.nio.ByteBuffer;

/**
 * What a worker says of one of its own steps.
 *
 * @param totals over its share
 * @param learningRate of the update
 * @param gradNorm of the share's mean gradient, before clipping
 */
public record LocalStep(Totals totals, double learningRate, double gradNorm) {
  /** Bytes that {@link #encode} writes. */
  public static final int ENCODED_BYTES = Totals.ENCODED_BYTES + 2 * Double.BYTES;

  /** Appends it to a frame. */
  public void encode(ByteBuffer frame) {
    totals.encode(frame);
    frame.putDouble(learningRate).putDouble(gradNorm);
  }

  /** Reads what {@link #encode} wrote. */
  public static LocalStep decode(ByteBuffer frame) {
    return new LocalStep(Totals.decode(frame), frame.getDouble(), frame.getDouble());
  }
}
