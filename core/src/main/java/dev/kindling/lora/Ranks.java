package dev.kindling.lora;

import dev.kindling.tensor.Seeds;
import java.io.Serializable;

/**
 * Of which rank pairs are in a step (DyLoRA, arXiv:2210.07558): all of theirs, or the first b of
 * it, b drawn anew for each step, the same for all layers and everywhere. Then every prefix of the
 * pairs is an adapter of its own, at scale alpha / b.
 *
 * @param use of a step's ranks
 * @param most r
 * @param seed of the run
 */
public record Ranks(Use use, int most, long seed) implements Serializable {
  /** What a step uses, and what of that learns. */
  public enum Use {
    /** All ranks, always. */
    FIXED,
    /** The first b, all of which learn. */
    PREFIX,
    /** The first b, of which the last one learns. */
    LAST
  }

  /** b of a step, uniform on 1 … r; steps from 0. */
  public int active(long step) {
    return use == Use.FIXED
        ? most
        : 1 + (int) Long.remainderUnsigned(Seeds.of(seed, "rank", step), most);
  }

  /** The first rank that learns in a step, from 0; {@link #active} is after the last one. */
  public int learnsFrom(long step) {
    return use == Use.LAST ? active(step) - 1 : 0;
  }
}
