package dev.kindling.cost;

import dev.kindling.tensor.AttentionShape;

/**
 * One operation of a backend.
 *
 * @param flops floating-point operations; 0 where bytes decide
 * @param bytes read and written, each operand once
 */
public record Work(Kind kind, long flops, long bytes) {
  /** Operations that run at different speeds. */
  public enum Kind {
    /** Matrix products. */
    PRODUCT,
    /** Attention: small products and a softmax for each block of queries. */
    ATTENTION,
    /** All that passes over elements once: norms, activations, gathers. */
    ELEMENTS
  }

  /**
   * Operations of {@code products} products over every pair of a query and a key that it looks at.
   */
  static long attentionFlops(AttentionShape s, int products) {
    long before = (long) s.keys() - s.tokens(); // keys of earlier tokens
    long pairs =
        s.causal()
            ? s.tokens() * before + (long) s.tokens() * (s.tokens() + 1) / 2
            : (long) s.tokens() * s.keys();
    return 2L * products * s.batch() * pairs * s.hidden();
  }
}
