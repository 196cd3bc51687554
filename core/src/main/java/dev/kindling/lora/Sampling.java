package dev.kindling.lora;

import java.io.Serializable;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How gradients go on through frozen weights (CE-LoRA, Chen et al., arXiv:2502.01378): exactly
 * through a part of a low rank, and through what is left of the output features that weigh most.
 *
 * @param kept shares of output features that count, in (0, 1), by the patterns of {@link
 *     LayerPatterns}; of other layers all do
 * @param rank of the part that is exact, at least 1, where no pattern gives a layer's pair a rank
 *     of its own
 * @param every steps from one choice of features to the next
 * @param byGradient whether features are judged by their gradients and the weights behind them, as
 *     the paper has it, or by the weights alone, which is what the authors' program computes
 */
public record Sampling(Map<String, Double> kept, int rank, int every, boolean byGradient)
    implements Serializable {
  /** All gradients as they are. */
  public static final Sampling NONE = new Sampling(Map.of(), 1, 1, true);

  public Sampling {
    kept = Collections.unmodifiableMap(new LinkedHashMap<>(kept));
    if (rank < 1
        || every < 1
        || kept.values().stream().anyMatch(share -> !(share > 0 && share < 1))) {
      throw new IllegalArgumentException(kept + " at rank " + rank);
    }
  }

  /** Whether any layer is sampled. */
  public boolean any() {
    return !kept.isEmpty();
  }

  /** Whether a layer is. */
  boolean samples(String module) {
    return share(module) < 1;
  }

  private double share(String module) {
    return LayerPatterns.of(kept, module, 1.0);
  }

  /** How many of a layer's output features count. */
  public int kept(String module, int features) {
    return (int) Math.ceil(features * share(module));
  }

  /** The same for an adapter of another rank. */
  public Sampling beside(int other) {
    return new Sampling(kept, other, every, byGradient);
  }
}
