package dev.kindling.tensor;

/**
 * Sizes of one multi-head attention over right-padded sequences.
 *
 * @param batch sequences
 * @param tokens length of each sequence, padding included
 * @param heads attention heads
 * @param headSize features of a head; the hidden size is {@code heads · headSize}
 */
public record AttentionShape(int batch, int tokens, int heads, int headSize) {
  /** Features of a token over all heads. */
  public int hidden() {
    return heads * headSize;
  }

  /** The factor 1/√headSize on the scores. */
  public double scale() {
    return 1 / Math.sqrt(headSize);
  }
}
