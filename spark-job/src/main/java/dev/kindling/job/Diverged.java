package dev.kindling.job;

/** A loss or gradient became NaN or infinite. */
public final class Diverged extends RuntimeException {
  private static final long serialVersionUID = 1;

  /**
   * @param step from 1
   */
  public Diverged(long step) {
    super(
        "step "
            + step
            + ": loss or gradient is not finite; lower optimizer.learning-rate, or set"
            + " train.max-grad-norm");
  }
}
