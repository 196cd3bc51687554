package dev.kindling.tensor;

/**
 * Sizes of one multi-head attention over right-padded sequences.
 *
 * @param batch sequences
 * @param tokens length of each sequence, padding included
 * @param heads attention heads of the queries
 * @param kvHeads heads of keys and values, a divisor of heads: each serves {@code heads / kvHeads}
 *     neighbouring query heads
 * @param headSize features of a head; the hidden size is {@code heads · headSize}
 * @param causal whether a token looks at no later one
 */
public record AttentionShape(
    int batch, int tokens, int heads, int kvHeads, int headSize, boolean causal) {
  public AttentionShape {
    if (heads % kvHeads != 0) {
      throw new IllegalArgumentException(heads + " heads over " + kvHeads + " of keys and values");
    }
  }

  /** Features of a token over all query heads. */
  public int hidden() {
    return heads * headSize;
  }

  /** Features of a token over all heads of keys or values. */
  public int kvHidden() {
    return kvHeads * headSize;
  }

  /** Query heads that one head of keys and values serves. */
  public int group() {
    return heads / kvHeads;
  }

  /** Keys that a query at {@code token} looks at in a sequence of {@code length} real tokens. */
  public int visible(int token, int length) {
    return causal ? Math.min(token + 1, length) : length;
  }

  /** The factor 1/√headSize on the scores. */
  public double scale() {
    return 1 / Math.sqrt(headSize);
  }
}
