package dev.kindling.lora;

import dev.kindling.lora.Parameter.Role;
import java.util.List;

/**
 * The first ranks of an adapter's pairs as an adapter of their own, with all that is trained in
 * full.
 *
 * @param whole layout
 * @param narrow the same at the lower rank
 */
public record Prefix(AdapterLayout whole, AdapterLayout narrow) {
  /** The first {@code rank} of them; all are themselves. */
  public static Prefix of(AdapterLayout whole, int rank) {
    boolean all = rank == whole.settings().r();
    return new Prefix(whole, all ? whole : whole.prefix(rank));
  }

  /** Whether it is all of them. */
  public boolean all() {
    return narrow == whole;
  }

  /** Their values; the vector itself, if they are all. */
  public float[] take(float[] wide) {
    if (all()) {
      return wide;
    }
    float[] taken = new float[narrow.elements()];
    move(wide, taken, true);
    return taken;
  }

  /** Overwrites their places in a vector of the whole. */
  public void put(float[] values, float[] wide) {
    move(wide, values, false);
  }

  private void move(float[] wide, float[] some, boolean taking) {
    List<Parameter> to = narrow.parameters();
    for (int p = 0; p < to.size(); p++) {
      Parameter large = whole.parameters().get(p);
      Parameter small = to.get(p);
      boolean columns = !small.role().whole() && small.role() != Role.A;
      int width = columns ? (int) small.shape()[1] : small.elements();
      int stride = columns ? (int) large.shape()[1] : width;
      for (int at = 0, from = large.offset(); at < small.elements(); at += width, from += stride) {
        if (taking) {
          System.arraycopy(wide, from, some, small.offset() + at, width);
        } else {
          System.arraycopy(some, small.offset() + at, wide, from, width);
        }
      }
    }
  }
}
