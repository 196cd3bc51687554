package dev.kindling.lora;

import java.util.Locale;

/** What the product of a pair is multiplied by. */
public enum Scaling {
  /** alpha / r (Hu et al., arXiv:2106.09685). */
  STANDARD,
  /** alpha / √r, so that what a pair adds does not shrink as its rank grows (arXiv:2312.03732). */
  RANK_STABILISED;

  /** As configurations have it. */
  public String spelled() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** What alpha is divided by. */
  private double divisor(int r) {
    return this == STANDARD ? r : Math.sqrt(r);
  }

  /** The scale of a pair. */
  public double scale(double alpha, int r) {
    return alpha / divisor(r);
  }

  /** The alpha that gives a scale. */
  public double alpha(double scale, int r) {
    return scale * divisor(r);
  }
}
