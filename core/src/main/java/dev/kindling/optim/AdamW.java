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
  public void step(float[] trainables, float[] gradient, double rate, List<Group> groups) {
    for (Group group : groups) {
      double own = group.factor() * rate;
      double known = group.taken() + 1.0;
      double size = own / (1 - Math.pow(settings.beta1(), known));
      double overRoot = 1 / Math.sqrt(1 - Math.pow(settings.beta2(), known));
      double decay = 1 - own * settings.weightDecay();
      group.runs((from, to) -> step(trainables, gradient, decay, size, overRoot, from, to));
    }
  }

  private void step(
      float[] trainables,
      float[] gradient,
      double decay,
      double size,
      double overRoot,
      int from,
      int to) {
    double beta1 = settings.beta1();
    double beta2 = settings.beta2();
    for (int i = from; i < to; i++) {
      double g = gradient[i];
      double m = beta1 * first[i] + (1 - beta1) * g;
      double v = beta2 * second[i] + (1 - beta2) * g * g;
      first[i] = (float) m;
      second[i] = (float) v;
      trainables[i] =
          (float)
              (trainables[i] * decay - size * m / (Math.sqrt(v) * overRoot + settings.epsilon()));
    }
  }
}
