package dev.kindling.lora.plan;

import java.io.Serializable;

/**
 * The sizes that decide between plans.
 *
 * @param tokens rows of x, N
 * @param in columns of x and of w [out, in]
 * @param out rows of w
 * @param rank rows of a [rank, in], columns of b [out, rank]
 */
public record PairShape(long tokens, long in, long out, long rank) implements Serializable {
  /** The same layer with other rows. */
  public PairShape over(long other) {
    return new PairShape(other, in, out, rank);
  }

  /** The same layer at another rank. */
  PairShape at(long other) {
    return new PairShape(tokens, in, out, other);
  }

  /** Whether it is the same layer, whatever the tokens. */
  boolean sameLayer(PairShape other) {
    return over(0).equals(other.over(0));
  }
}
