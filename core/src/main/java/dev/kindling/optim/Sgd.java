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
  public void step(float[] trainables, float[] gradient, double rate, List<Group> groups) {
    for (Group group : groups) {
      double own = group.factor() * rate;
      double decay = 1 - own * settings.weightDecay();
      group.runs(
          (from, to) -> {
            for (int i = from; i < to; i++) {
              trainables[i] = (float) (trainables[i] * decay - own * gradient[i]);
            }
          });
    }
  }
}
