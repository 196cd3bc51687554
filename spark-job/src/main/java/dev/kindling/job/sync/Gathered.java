package dev.kindling.job.sync;

import dev.kindling.job.broadcast.MemoryUse;
import java.util.TreeMap;
import java.util.TreeSet;

/** Mutable: adds up what the tasks of an exchange say beside their results. */
public final class Gathered {
  private final TreeMap<String, Integer> executors = new TreeMap<>();
  private final TreeMap<String, String> numerics = new TreeMap<>();
  private final TreeMap<String, TreeSet<String>> gpus = new TreeMap<>();
  private MemoryUse memory = new MemoryUse(0, 0);
  private long up;
  private long slowest;
  private int sums;

  /** Takes a task's frame; returns what is in it. */
  public StepReport.Read add(byte[] frame) {
    StepReport.Read read = StepReport.decode(frame);
    StepReport report = read.report();
    up += frame.length;
    sums += read.payload().hasRemaining() ? 1 : 0;
    if (read.worked()) {
      executors.merge(report.executor(), report.weightLoads(), Math::max);
      memory = memory.max(report.memory());
      numerics.putIfAbsent(report.numerics(), report.executor());
      if (!report.gpu().isEmpty()) {
        gpus.computeIfAbsent(report.executor(), e -> new TreeSet<>()).add(report.gpu());
      }
      slowest = Math.max(slowest, report.nanos());
    }
    return read;
  }

  /**
   * What it all cost.
   *
   * @param down bytes that each executor was sent
   * @param trainables how many there are
   * @param steps of each task
   */
  public Exchange exchange(long down, int trainables, int steps, double seconds) {
    long n = executors.size();
    return new Exchange(
        executors,
        down * n,
        up,
        Exchange.exactBytes(trainables, n, sums) * steps,
        memory,
        numerics,
        gpus,
        slowest / 1e9,
        seconds);
  }
}
