package dev.kindling.bench;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Parameter;
import dev.kindling.tensor.Seeds;

/**
 * The numbers that all sides start from: element i of a tensor is a function of the tensor's name
 * and i, so nobody has to hold what another one needs.
 *
 * <p>Frozen matrices and biases are uniform with deviation 0.02, gains of norms lie around 1. B is
 * not zero, as it would be before a real first step: with it, no gradient of A is zero, and the
 * losses of both sides depend on every trainable.
 */
public final class Weights {
  private static final long SEED = 0;
  private static final double DEVIATION = 0.02;

  private Weights() {}

  /** Writes elements {@code from …} of a frozen tensor, in the order of files. */
  public static void fill(WeightSlot slot, long from, float[] piece) {
    boolean gain = slot.shape().length == 1 && slot.name().endsWith("weight");
    fill(slot.name(), from, gain ? 1 : 0, DEVIATION, piece);
  }

  /** The flat vector before the first step; A as wide as PEFT's kaiming_uniform(√5). */
  public static float[] trainables(AdapterLayout layout) {
    float[] vector = new float[layout.elements()];
    for (Parameter p : layout.parameters()) {
      double deviation =
          p.role() == Parameter.Role.A ? 1 / Math.sqrt(3.0 * p.shape()[1]) : DEVIATION;
      float[] values = new float[p.elements()];
      fill(p.name(), 0, 0, deviation, values);
      System.arraycopy(values, 0, vector, p.offset(), values.length);
    }
    return vector;
  }

  /** U(−√3, √3) has deviation 1. */
  private static void fill(String name, long from, double mean, double deviation, float[] piece) {
    long key = Seeds.of(SEED, "weights", name);
    double width = deviation * Math.sqrt(12);
    for (int i = 0; i < piece.length; i++) {
      double unit = (Seeds.mix(key, from + i) >>> 11) * 0x1p-53;
      piece[i] = (float) (mean + (unit - 0.5) * width);
    }
  }
}
