package dev.kindling.bench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Processor time at one moment, to tell whether a measurement had the machine to itself. Two BLAS
 * threads that share two cores with anything else wait for each other: steps were seen to take five
 * times as long.
 *
 * @param clock wall time, in nanoseconds
 * @param machine busy time of all cores since boot, in nanoseconds
 * @param own processor time of this process, in nanoseconds
 */
public record Load(long clock, long machine, long own) {
  /** /proc/stat counts hundredths of a second on every Linux. */
  private static final long NANOS_PER_TICK = 10_000_000;

  /** Now. */
  public static Load now() {
    OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
    return new Load(System.nanoTime(), busy(), system.getProcessCpuTime());
  }

  /**
   * Cores that others have kept busy since then, on average; of a virtual machine stolen ones too.
   */
  public double othersSince() {
    Load now = now();
    double others = (now.machine - machine) - (now.own - own);
    return Math.max(0, others / (now.clock - clock));
  }

  /** user + nice + system + irq + softirq + steal, without idle and iowait. */
  private static long busy() {
    try {
      String[] ticks = Files.readAllLines(Path.of("/proc/stat")).get(0).split(" +", -1);
      long sum = 0;
      for (int column : new int[] {1, 2, 3, 6, 7, 8}) {
        sum += Long.parseLong(ticks[column]);
      }
      return sum * NANOS_PER_TICK;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
