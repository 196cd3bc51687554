package dev.kindling.optim;

import java.io.Serializable;

/**
 * Learning rate over a run, as Hugging Face's schedules at step k = 0, 1, …: k/w during w warm-up
 * steps, then a curve down to the last of S steps.
 *
 * @param warmupSteps w, at least 0
 * @param totalSteps S, at least 1
 */
public record Schedule(Curve curve, int warmupSteps, long totalSteps) implements Serializable {
  /** What follows the warm-up. */
  public enum Curve {
    /** 1. */
    CONSTANT,
    /** (S − k) / (S − w). */
    LINEAR,
    /** (1 + cos(π (k − w) / (S − w))) / 2. */
    COSINE
  }

  /** Factor on the peak rate at step k (from 0). */
  public double factor(long k) {
    if (k < warmupSteps) {
      return (double) k / warmupSteps;
    }
    double left = Math.max(0, (double) (totalSteps - k) / Math.max(1, totalSteps - warmupSteps));
    return switch (curve) {
      case CONSTANT -> 1;
      case LINEAR -> left;
      case COSINE -> (1 + Math.cos(Math.PI * (1 - left))) / 2;
    };
  }
}
