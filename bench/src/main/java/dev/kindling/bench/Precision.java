package dev.kindling.bench;

import com.fasterxml.jackson.annotation.JsonValue;
import java.util.Locale;

/** Width of weights and activations; trainables, their gradients and moments are fp32 in both. */
public enum Precision {
  /** IEEE single precision. */
  FP32(1e-3),
  /** The upper half of an IEEE single. */
  BF16(3e-2);

  private final double tolerance;

  Precision(double tolerance) {
    this.tolerance = tolerance;
  }

  /** Largest relative difference between two sides' losses at the same trainables. */
  public double tolerance() {
    return tolerance;
  }

  /** As rows and names of sides spell it. */
  @JsonValue
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
