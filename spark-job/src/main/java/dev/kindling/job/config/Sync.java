package dev.kindling.job.config;

import java.util.Optional;

/**
 * How the executors' work becomes one.
 *
 * @param frequency steps from one averaging to the next
 * @param workers empty for the task slots at the start
 */
public record Sync(
    Mode mode,
    Compression compression,
    Sums sums,
    int frequency,
    Optional<Integer> workers,
    Exactness exactness,
    Outer outer,
    double outerRate,
    double outerMomentum) {
  /** How the executors' work becomes one. */
  public enum Mode {
    GRADIENTS,
    AVERAGING
  }

  /** In what gradients travel. */
  public enum Compression {
    NONE,
    BF16
  }

  /** Where the sums of a step's tasks become one. */
  public enum Sums {
    /** On their hosts, where that keeps much off the network. */
    AUTO,
    /** On the driver. */
    TASK,
    /** On their hosts, then on the driver. */
    HOST
  }

  /** What makes averages of pairs averages of their products. */
  public enum Exactness {
    NONE,
    FFA,
    FEDEX
  }

  /** What is made of an average. */
  public enum Outer {
    AVERAGE,
    NESTEROV
  }

  /** Whether workers take steps of their own. */
  public boolean averages() {
    return mode == Mode.AVERAGING;
  }
}
