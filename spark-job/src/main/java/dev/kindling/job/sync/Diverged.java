package dev.kindling.job.sync;

/** A loss, gradient or trainable became NaN or infinite. */
public final class Diverged extends RuntimeException {
  private static final long serialVersionUID = 1;

  /**
   * @param where the step or evaluation
   */
  public Diverged(String where) {
    super(
        where
            + ": loss, gradient or trainables are not finite; lower optimizer.learning-rate, or set"
            + " train.max-grad-norm");
  }
}
