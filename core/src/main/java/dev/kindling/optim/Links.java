package dev.kindling.optim;

import java.io.Serializable;

/**
 * A run cut into links of a chain, as even as can be: each begins where the one before has ended,
 * at ⌊n·u / count⌋ of the run's u units.
 *
 * @param steps of the run
 * @param count of links, at least 1; no more than there are units
 * @param unit steps that stay together, at least 1
 */
public record Links(long steps, long count, long unit) implements Serializable {
  /** One link: no cut. */
  public static final Links ONE = new Links(1, 1, 1);

  public Links {
    if (count < 1 || unit < 1 || (count > 1 && count > units(steps, unit))) {
      throw new IllegalArgumentException(
          "%d links of %d steps by %d".formatted(count, steps, unit));
    }
  }

  /** As many links as asked for, or as there are units. */
  public static Links of(long steps, long wanted, long unit) {
    return new Links(steps, Math.max(1, Math.min(wanted, units(steps, unit))), unit);
  }

  private static long units(long steps, long unit) {
    return (steps + unit - 1) / unit;
  }

  /** Number of the link that a step belongs to; both from 0. */
  public long link(long step) {
    return Math.min(count - 1, ((step / unit + 1) * count - 1) / units(steps, unit));
  }

  /** The first step of that link. */
  public long begun(long step) {
    return first(link(step));
  }

  /** The first step of the next one, or the end of the run. */
  public long next(long step) {
    return Math.min(steps, first(link(step) + 1));
  }

  private long first(long link) {
    return unit * (link * units(steps, unit) / count);
  }

  /** Whether a link ends when so many steps are done, and another begins. */
  public boolean cutAfter(long done) {
    return done > 0 && done < steps && begun(done) == done;
  }
}
