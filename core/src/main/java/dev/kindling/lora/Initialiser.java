package dev.kindling.lora;

import java.util.Optional;

/** How the pairs of a new adapter begin. */
public enum Initialiser {
  /** A drawn, B zero: the base is left as it is ({@link AdapterLayout#start}). */
  KAIMING,
  /** {@link ThinQr}. */
  OLORA,
  /** {@link TruncatedSvd}. */
  PISSA;

  /** Of those that take a part of the base, how. */
  public Optional<FromBase> fromBase() {
    return switch (this) {
      case KAIMING -> Optional.empty();
      case OLORA -> Optional.of(new ThinQr());
      case PISSA -> Optional.of(new TruncatedSvd());
    };
  }

  /**
   * A pair that begins as a part of the weight that it stands beside; that weight is then reduced
   * by s·B·A, so that together they begin as the base.
   */
  public interface FromBase {
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
