package dev.kindling.generate;

import dev.kindling.tensor.Seeds;
import java.util.Arrays;

/**
 * Chooses the next token.
 *
 * @param temperature logits are divided by it before the softmax; 0 for the likeliest token
 * @param topP the draw is among the likeliest tokens that together have this share of the
 *     probability (Holtzman et al., arXiv:1904.09751), in (0, 1]
 * @param seed of all draws
 */
public record Sampler(double temperature, double topP, long seed) {
  /** Vocabularies are below a million tokens; weights keep 32 bits of their fraction. */
  private static final int ID_BITS = 20;

  public Sampler {
    if (!(temperature >= 0) || !(topP > 0 && topP <= 1)) {
      throw new IllegalArgumentException("temperature " + temperature + ", top-p " + topP);
    }
  }

  /**
   * A token.
   *
   * @param number of the token to be chosen, from 0
   */
  public int next(float[] logits, long number) {
    int best = likeliest(logits);
    if (temperature == 0) {
      return best;
    }
    double[] weights = new double[logits.length];
    double sum = 0;
    for (int id = 0; id < weights.length; id++) {
      weights[id] = Math.exp((logits[id] - logits[best]) / temperature);
      sum += weights[id];
    }
    double draw = (Seeds.of(seed, "sample", number) >>> 11) * 0x1p-53;
    return topP == 1 ? drawn(weights, draw * sum) : nucleus(weights, sum, draw);
  }

  /** Of equals the first. */
  private static int likeliest(float[] logits) {
    int best = 0;
    for (int id = 1; id < logits.length; id++) {
      best = logits[id] > logits[best] ? id : best;
    }
    return best;
  }

  private static int drawn(double[] weights, double left) {
    int last = 0;
    double rest = left;
    for (int id = 0; id < weights.length; id++) {
      rest -= weights[id];
      if (rest < 0) {
        return id;
      }
      last = weights[id] > 0 ? id : last;
    }
    return last; // rounding
  }

  private int nucleus(double[] weights, double sum, double draw) {
    // Positive doubles sort as their bits; the lowest of these give way to the token's id.
    long[] order = new long[weights.length];
    Arrays.setAll(order, id -> -(Double.doubleToLongBits(weights[id]) >>> ID_BITS << ID_BITS) + id);
    Arrays.sort(order);
    int kept = 0;
    double mass = 0;
    while (kept < order.length && mass < topP * sum) {
      mass += weights[id(order[kept++])];
    }
    double[] likely = new double[kept];
    Arrays.setAll(likely, i -> weights[id(order[i])]);
    return id(order[drawn(likely, draw * mass)]);
  }

  private static int id(long key) {
    return (int) (key & (1 << ID_BITS) - 1);
  }
}
