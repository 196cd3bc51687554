package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Parameter;
import java.util.Arrays;

/**
 * Mutable: what the driver makes of an average (DiLoCo, arXiv:2311.08105): the way from where the
 * workers began to where they are on average is a gradient, for gradient descent with Nesterov's
 * momentum as PyTorch defines it. With rate 1 and momentum 0 the average itself.
 */
public final class OuterStep {
  private final double rate;
  private final double momentum;
  private final float[] velocity;

  /**
   * @param rate above 0; 0.7 in the paper
   * @param momentum in [0, 1); 0.9 in the paper
   * @param elements of the trainables
   */
  public OuterStep(double rate, double momentum, int elements) {
    this.rate = rate;
    this.momentum = momentum;
    this.velocity = new float[elements];
  }

  /** Its state, live. */
  float[] velocity() {
    return velocity;
  }

  /** Forgets which way pairs were going: they begin anew. */
  void forget(AdapterLayout layout) {
    for (Parameter p : layout.parameters()) {
      if (!p.role().whole()) {
        Arrays.fill(velocity, p.offset(), p.offset() + p.elements(), 0);
      }
    }
  }

  /**
   * Moves the trainables.
   *
   * @param trainables where the workers began; overwritten
   * @param mean where they are on average
   */
  void apply(float[] trainables, float[] mean) {
    for (int i = 0; i < trainables.length; i++) {
      double way = (double) trainables[i] - mean[i];
      double v = momentum * velocity[i] + way;
      velocity[i] = (float) v;
      trainables[i] = (float) (trainables[i] - rate * (way + momentum * v));
    }
  }
}
