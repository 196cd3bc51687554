package dev.kindling.optim;

/** Gradient descent with decoupled weight decay. */
record Sgd(OptimizerSettings settings) implements Optimizer {
  @Override
  public long bytes() {
    return 0;
  }

  @Override
  public void step(float[] trainables, float[] gradient, double rate) {
    double decay = 1 - rate * settings.weightDecay();
    for (int i = 0; i < trainables.length; i++) {
      trainables[i] = (float) (trainables[i] * decay - rate * gradient[i]);
    }
  }
}
