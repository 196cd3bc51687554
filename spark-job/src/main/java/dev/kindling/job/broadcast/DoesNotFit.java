package dev.kindling.job.broadcast;

/** Executors have less memory than the plan needs; nothing has begun. */
public final class DoesNotFit extends RuntimeException {
  private static final long serialVersionUID = 1;

  /**
   * @param message what is needed, what there is, and what to set
   */
  public DoesNotFit(String message) {
    super(message);
  }
}
