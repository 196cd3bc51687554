package dev.kindling.optim;

import java.util.Map;

/** Gradient descent with decoupled weight decay. */
record Sgd(OptimizerSettings settings) implements Optimizer {
  @Override
  public Map<String, float[]> state() {
    return Map.of();
  }

  @Override
  public void resume(long steps) {} // what it does depends on no earlier step

  @Override
  public void step(float[] trainables, float[] gradient, double rate) {
    double decay = 1 - rate * settings.weightDecay();
    for (int i = 0; i < trainables.length; i++) {
      trainables[i] = (float) (trainables[i] * decay - rate * gradient[i]);
    }
  }
}
