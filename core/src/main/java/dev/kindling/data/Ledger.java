package dev.kindling.data;

import dev.kindling.tensor.Seeds;
import java.util.Locale;

/**
 * Which examples a gradient contains, as one number: the sum modulo 2^64 of a hash of each place in
 * the stream. The same in any order and for any cut into parts; one that is left out, counted twice
 * or put in place of another changes it (but for one chance in 2^64).
 */
public final class Ledger {
  private static final long SEED = Seeds.of(0, "ledger", "positions");

  private Ledger() {}

  /** Of one place in the stream. */
  public static long of(long position) {
    return Seeds.mix(SEED, position);
  }

  /** Of all places of a range. */
  public static long of(long from, long to) {
    long sum = 0;
    for (long position = from; position < to; position++) {
      sum += of(position);
    }
    return sum;
  }

  /** As it is written down. */
  public static String text(long sum) {
    return String.format(Locale.ROOT, "%016x", sum);
  }
}
