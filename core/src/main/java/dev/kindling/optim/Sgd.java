package dev.kindling.optim;

import java.util.List;
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
  public void step(float[] trainables, float[] gradient, double rate, List<Group> groups) {
    for (Group group : groups) {
      double own = group.factor() * rate;
      double decay = 1 - own * settings.weightDecay();
      for (int i = group.from(); i < group.to(); i++) {
        trainables[i] = (float) (trainables[i] * decay - own * gradient[i]);
      }
    }
  }
}
