package dev.kindling.optim;

import java.util.List;
import java.util.Map;

/**
 * Adam with decoupled weight decay, term for term as {@code torch.optim.AdamW}; moments in float,
 * arithmetic in double.
 */
final class AdamW implements Optimizer {
  private final OptimizerSettings settings;
  private final float[] first;
  private final float[] second;
  private long steps;

  AdamW(OptimizerSettings settings, int elements) {
    this.settings = settings;
    this.first = new float[elements];
    this.second = new float[elements];
  }

  @Override
  public Map<String, float[]> state() {
    return Map.of("first", first, "second", second);
  }

  @Override
  public void resume(long taken) {
    steps = taken;
  }

  @Override
  public void step(float[] trainables, float[] gradient, double rate, List<Group> groups) {
    steps++;
    for (Group group : groups) {
      step(trainables, gradient, group.factor() * rate, group);
    }
  }

  private void step(float[] trainables, float[] gradient, double rate, Group group) {
    double known = steps - group.begun();
    double beta1 = settings.beta1();
    double beta2 = settings.beta2();
    double decay = 1 - rate * settings.weightDecay();
    double size = rate / (1 - Math.pow(beta1, known));
    double root = Math.sqrt(1 - Math.pow(beta2, known));
    for (int i = group.from(); i < group.to(); i++) {
      double g = gradient[i];
      double m = beta1 * first[i] + (1 - beta1) * g;
      double v = beta2 * second[i] + (1 - beta2) * g * g;
      first[i] = (float) m;
      second[i] = (float) v;
      trainables[i] =
          (float) (trainables[i] * decay - size * m / (Math.sqrt(v) / root + settings.epsilon()));
    }
  }
}
