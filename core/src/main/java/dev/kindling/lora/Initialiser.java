package dev.kindling.lora;

import java.util.Locale;
import java.util.Optional;

/** How the pairs of a new adapter begin, each way a class of its own. */
public enum Initialiser {
  KAIMING,
  OLORA,
  PISSA,
  ORTHOGONAL;

  private Way way() {
    return switch (this) {
      case KAIMING -> new Kaiming();
      case OLORA -> new ThinQr();
      case PISSA -> new TruncatedSvd();
      case ORTHOGONAL -> new Orthogonal();
    };
  }

  /** As configurations name it. */
  public String spelled() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Of those that take a part of the base, how. */
  public Optional<FromBase> fromBase() {
    return way() instanceof FromBase part ? Optional.of(part) : Optional.empty();
  }

  /** How pairs are drawn; what takes a part of the base is put over that. */
  public Drawn drawn() {
    return way() instanceof Drawn drawn ? drawn : new Kaiming();
  }

  /** Whether B begins at zero: each rank is nothing by itself, and A learns once B has. */
  public boolean zeroB(int r) {
    return way() instanceof Drawn drawn && drawn.zeroB(r);
  }

  /** A way to begin. */
  public sealed interface Way permits Drawn, FromBase {}

  /** A pair of random numbers whose product is zero, so that the base is left as it is. */
  public non-sealed interface Drawn extends Way {
    /**
     * Draws a pair, a function of the seed alone.
     *
     * @param seed of this pair
     */
    Pair pair(long seed, int out, int in, int r);

    /** Whether B is zero, at this rank. */
    boolean zeroB(int r);
  }

  /**
   * A pair that begins as a part of the weight that it stands beside; that weight is then reduced
   * by s·B·A, so that together they begin as the base.
   */
  public non-sealed interface FromBase extends Way {
    /**
     * Makes a pair; needs r ≤ min(in, out).
     *
     * @param w [out, in], not to be changed
     * @param scale s
     */
    Pair pair(float[] w, int out, int in, int r, double scale);
  }

  /**
   * Where a pair begins.
   *
   * @param a [r, in]
   * @param b [out, r]
   */
  public record Pair(float[] a, float[] b) {}
}
