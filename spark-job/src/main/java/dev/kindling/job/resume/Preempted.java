package dev.kindling.job.resume;

/** The run was asked to stop, and has kept what it had. */
public final class Preempted extends RuntimeException {
  private static final long serialVersionUID = 1;

  /**
   * @param step steps that are kept
   */
  public Preempted(long step) {
    super(
        "stopped after step "
            + step
            + ": run the same command again, with output-mode = resume, to go on from there");
  }
}
