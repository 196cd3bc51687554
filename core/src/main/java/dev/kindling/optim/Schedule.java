package dev.kindling.optim;

import java.io.Serializable;

/**
 * Learning rate over a run, as Hugging Face's schedules at step k = 0, 1, …: k/w during w warm-up
 * steps, then a curve down to the last of S steps, to a floor f. Each link of a chain but the first
 * begins with a warm-up of its own, of v steps up to where the curve is then (ReLoRA's jagged
 * cosine, arXiv:2307.05695).
 *
 * @param warmupSteps w, at least 0
 * @param totalSteps S, at least 1
 * @param floor f, in [0, 1)
 * @param links of the run
 * @param rewarm v, as share of a link's steps, in [0, 1]
 */
public record Schedule(
    Curve curve, int warmupSteps, long totalSteps, double floor, Links links, double rewarm)
    implements Serializable {
  /** 0.07 · 100 is a little more than 7. */
  private static final double ROUNDING = 1e-9;

  /** What follows the warm-up, with u = (k − w) / (S − w). */
  public enum Curve {
    /** 1. */
    CONSTANT,
    /** f + (1 − f)·(1 − u). */
    LINEAR,
    /** f + (1 − f)·(1 + cos(π·u)) / 2. */
    COSINE
  }

  /** Down to nothing, without links. */
  public Schedule(Curve curve, int warmupSteps, long totalSteps) {
    this(curve, warmupSteps, totalSteps, 0, Links.ONE, 0);
  }

  /** Factor on the peak rate at step k (from 0). */
  public double factor(long k) {
    long begun = links.begun(k);
    long again = begun == 0 ? 0 : restart(links.next(k) - begun);
    return k - begun < again ? (double) (k - begun) / again * smooth(begun + again) : smooth(k);
  }

  /** Steps of a warm-up, which leave one step of the link at least at the full rate. */
  private long restart(long steps) {
    return Math.min(steps - 1, (long) Math.ceil(rewarm * steps - ROUNDING));
  }

  private double smooth(long k) {
    if (k < warmupSteps) {
      return (double) k / warmupSteps;
    }
    double left = Math.max(0, (double) (totalSteps - k) / Math.max(1, totalSteps - warmupSteps));
    return switch (curve) {
      case CONSTANT -> 1;
      case LINEAR -> floor + (1 - floor) * left;
      case COSINE -> floor + (1 - floor) * (1 + Math.cos(Math.PI * (1 - left))) / 2;
    };
  }
}
