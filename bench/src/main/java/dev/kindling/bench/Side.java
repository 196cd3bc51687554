package dev.kindling.bench;

/**
 * Mutable: one implementation of a case's training step. For one thread at a time; lives as long as
 * its process.
 */
public interface Side {
  /** Learning rate of every step; decay 0.01, betas 0.9 and 0.999, epsilon 1e-8. */
  double LEARNING_RATE = 1e-3;

  /** Decoupled decay per unit of learning rate: PyTorch's default. */
  double WEIGHT_DECAY = 0.01;

  /**
   * Forward, backward and an AdamW update.
   *
   * @return mean loss over the targets before the update, in nats
   */
  double step();

  /** Gradient of the mean loss in the latest step, in layout order: for checks. */
  float[] gradient();
}
