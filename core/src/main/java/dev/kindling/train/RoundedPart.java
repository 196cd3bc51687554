package dev.kindling.train;

import dev.kindling.model.BatchResult;
import dev.kindling.tensor.StoredType;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Mutable: a task's part of a step whose gradients are rounded to bf16, each micro-batch's before
 * it is summed, so that the exact sum is one of the rounded gradients, whoever adds them. A sum
 * takes 8 bytes for each trainable; up to three micro-batches are shorter as they are.
 */
public final class RoundedPart {
  /** As many micro-batches are no shorter than their sum. */
  static final int FEWER_THAN = Long.BYTES / Short.BYTES;

  private final GradientSum sum;
  private final List<short[]> gradients = new ArrayList<>();
  private int count;

  /**
   * @param sum empty
   */
  public RoundedPart(GradientSum sum) {
    this.sum = sum;
  }

  /**
   * Adds a micro-batch.
   *
   * @param gradient rounded in place
   */
  public void add(float[] gradient, BatchResult result) {
    count++;
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] = StoredType.BF16.widen(StoredType.BF16.narrow(gradient[i]));
    }
    if (count < FEWER_THAN) {
      gradients.add(halves(gradient));
    } else {
      gradients.clear(); // their sum is no longer than they are
    }
    sum.add(gradient, result);
  }

  private static short[] halves(float[] rounded) {
    short[] halves = new short[rounded.length];
    for (int i = 0; i < halves.length; i++) {
      halves[i] = StoredType.BF16.narrow(rounded[i]);
    }
    return halves;
  }

  private boolean shorterAsTheyAre() {
    return count > 0 && count < FEWER_THAN;
  }

  /** Bytes of the shortest frame. */
  public int encodedBytes() {
    return shorterAsTheyAre() ? sum.encodedBytes(count) : sum.encodedBytes();
  }

  /** Appends the shortest that {@link GradientSum#merge(ByteBuffer)} reads. */
  public void encode(ByteBuffer frame) {
    if (shorterAsTheyAre()) {
      sum.encode(frame, gradients);
    } else {
      sum.encode(frame);
    }
  }
}
