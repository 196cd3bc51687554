package dev.kindling.optim;

import java.io.Serializable;

/**
 * Update rule and its constants.
 *
 * @param learningRate peak rate, above 0
 * @param weightDecay decoupled decay per unit of learning rate, at least 0
 * @param beta1 decay of the first moment, in [0, 1)
 * @param beta2 decay of the second moment, in [0, 1)
 * @param epsilon added to the root of the second moment, above 0
 * @param schedule how the rate changes
 */
public record OptimizerSettings(
    Kind kind,
    double learningRate,
    double weightDecay,
    double beta1,
    double beta2,
    double epsilon,
    Schedule schedule)
    implements Serializable {
  /** Update rules. */
  public enum Kind {
    /** As PyTorch defines it. */
    ADAMW(2),
    /** Plain gradient descent, without momentum. */
    SGD(0);

    private final int moments;

    Kind(int moments) {
      this.moments = moments;
    }
  }

  /** Bytes of the state of an optimiser of so many elements. */
  public long stateBytes(long elements) {
    return (long) Float.BYTES * kind.moments * elements;
  }
}
