package dev.kindling.job.report;

import java.io.PrintStream;
import java.util.Locale;

/**
 * Tells people how far the run is: one line that rewrites itself on a terminal, else a line now and
 * then.
 */
public final class Progress {
  private static final long PLAIN_NANOS = 10_000_000_000L;

  private final PrintStream out;
  private final long total;
  private final boolean terminal;
  private long nextPlain = System.nanoTime();

  /**
   * @param terminal whether {@code out} shows carriage returns as a person expects
   */
  public Progress(PrintStream out, long total, boolean terminal) {
    this.out = out;
    this.total = total;
    this.terminal = terminal;
  }

  /** Reports a committed step. */
  public void step(long step, double loss, double tokensPerSecond) {
    boolean last = step == total;
    long now = System.nanoTime();
    if (!terminal && !last && now < nextPlain) {
      return;
    }
    nextPlain = now + PLAIN_NANOS;
    String text =
        String.format(
            Locale.ROOT,
            "step %d of %d  loss %.4f  %.0f tokens/s",
            step,
            total,
            loss,
            tokensPerSecond);
    out.print(terminal ? "\r" + text + "   " + (last ? "\n" : "") : text + "\n");
    out.flush();
  }
}
