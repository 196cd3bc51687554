package dev.kindling.tensor;

import java.io.Serializable;

/**
 * Sizes of one multi-head attention over right-padded rows of tokens.
 *
 * @param batch rows; each is one sequence, or several behind each other
 * @param tokens queries of each row, padding included
 * @param keys keys and values of each row: as many as queries, or more where only some tokens ask:
 *     the last ones of a sequence whose earlier keys were kept, or a classifier's first ones
 * @param heads attention heads of the queries
 * @param kvHeads heads of keys and values, a divisor of heads: each serves {@code heads / kvHeads}
 *     neighbouring query heads
 * @param headSize features of a head; the hidden size is {@code heads · headSize}
 * @param causal whether no query looks at a later key, which halves the work: which keys it does
 *     look at, it is told
 */
public record AttentionShape(
    int batch, int tokens, int keys, int heads, int kvHeads, int headSize, boolean causal)
    implements Serializable {
  public AttentionShape {
    if (keys < tokens) {
      throw new IllegalArgumentException(tokens + " queries over " + keys + " keys");
    }
    if (heads % kvHeads != 0) {
      throw new IllegalArgumentException(heads + " heads over " + kvHeads + " of keys and values");
    }
  }

  /** Every token is both query and key. */
  public AttentionShape(
      int batch, int tokens, int heads, int kvHeads, int headSize, boolean causal) {
    this(batch, tokens, tokens, heads, kvHeads, headSize, causal);
  }

  /** The same heads over other rows. */
  public AttentionShape over(int rows, int queries, int allKeys) {
    return new AttentionShape(rows, queries, allKeys, heads, kvHeads, headSize, causal);
  }

  /** Features of a token over all query heads. */
  public int hidden() {
    return heads * headSize;
  }

  /** Features of a token over all heads of keys or values. */
  public int kvHidden() {
    return kvHeads * headSize;
  }

  /** The factor 1/√headSize on the scores. */
  public double scale() {
    return 1 / Math.sqrt(headSize);
  }
}
