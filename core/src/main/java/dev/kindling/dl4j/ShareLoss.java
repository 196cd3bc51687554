package dev.kindling.dl4j;

/** The loss of a worker's share of a step. */
@FunctionalInterface
public interface ShareLoss {
  /**
   * Mean loss and its gradient.
   *
   * @param gradient of the trainables' length, overwritten
   */
  double of(float[] trainables, float[] gradient);
}
