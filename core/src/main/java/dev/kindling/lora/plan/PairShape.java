package dev.kindling.lora.plan;

import dev.kindling.lora.Halves;
import java.io.Serializable;

/**
 * The sizes that decide between plans.
 *
 * @param tokens rows of x, N
 * @param in columns of x and of w [out, in]
 * @param out rows of w
 * @param rank rows of a [rank, in], columns of b [out, rank]
 * @param kept rows of w that the input's gradient goes on through; 0 for all
 * @param exact rank of the part of w that it goes on through as well; 0 where that is all of it
 * @param halves whose gradients are wanted
 */
public record PairShape(
    long tokens, long in, long out, long rank, long kept, long exact, Halves halves)
    implements Serializable {
  /** Files that are older than halves mean both. */
  public PairShape {
    halves = halves == null ? Halves.BOTH : halves;
  }

  /** With an exact gradient of the input, of a pair of which both halves learn. */
  public PairShape(long tokens, long in, long out, long rank) {
    this(tokens, in, out, rank, Halves.BOTH);
  }

  /** With an exact gradient of the input. */
  public PairShape(long tokens, long in, long out, long rank, Halves halves) {
    this(tokens, in, out, rank, 0, 0, halves);
  }

  /** Whether the input's gradient goes on through a part of w. */
  public boolean samples() {
    return kept > 0;
  }

  /** The same layer with other rows. */
  public PairShape over(long other) {
    return new PairShape(other, in, out, rank, kept, exact, halves);
  }

  /** The same layer at another rank. */
  PairShape at(long other) {
    return new PairShape(tokens, in, out, other, kept, exact, halves);
  }

  /** Whether it is the same layer, whatever the tokens. */
  boolean sameLayer(PairShape other) {
    return over(0).equals(other.over(0));
  }
}
