package dev.kindling.job.report;

import java.util.Locale;

/** Bytes and seconds as people read them. */
final class Amounts {
  private Amounts() {}

  static String bytes(double bytes) {
    if (bytes < 1e5) {
      return String.format(Locale.ROOT, "%,.1f kB", bytes / 1e3);
    }
    return String.format(
        Locale.ROOT, bytes < 1e9 ? "%,.1f MB" : "%,.2f GB", bytes / (bytes < 1e9 ? 1e6 : 1e9));
  }

  static String bytes(long bytes) {
    return bytes((double) bytes);
  }

  static String time(double seconds) {
    if (seconds < 1) {
      return String.format(Locale.ROOT, seconds < 0.1 ? "%.2f ms" : "%.0f ms", 1e3 * seconds);
    }
    return String.format(Locale.ROOT, seconds < 100 ? "%.2f s" : "%,.0f s", seconds);
  }
}
