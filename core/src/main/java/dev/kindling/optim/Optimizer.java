package dev.kindling.optim;

import java.util.List;
import java.util.Map;

/**
 * Mutable: one update rule and its state over the flat vector of trainables. Weight decay is
 * decoupled (Loshchilov, Hutter, arXiv:1711.05101) and falls on every trainable, biases included.
 */
public sealed interface Optimizer permits AdamW, Sgd {
  /**
   * Updates the trainables of some groups in place.
   *
   * @param gradient of the mean loss, same length
   * @param rate learning rate of this step
   */
  void step(float[] trainables, float[] gradient, double rate, List<Group> groups);

  /** Its state by name: live vectors of the trainables' length, to be saved or overwritten. */
  Map<String, float[]> state();

  /** Bytes of its state. */
  default long bytes() {
    return state().values().stream().mapToLong(v -> 4L * v.length).sum();
  }

  /** A fresh optimiser of the configured kind for a vector of {@code elements}. */
  static Optimizer of(OptimizerSettings settings, int elements) {
    return switch (settings.kind()) {
      case ADAMW -> new AdamW(settings, elements);
      case SGD -> new Sgd(settings);
    };
  }
}
