package dev.kindling.job.broadcast;

import java.util.Locale;

/**
 * What to ask a cluster for, in MiB: the least that the plans of memory and heaps find enough.
 *
 * @param driver heap
 * @param executor heap
 * @param overhead beside an executor's heap
 */
public record Sizes(long driver, long executor, long overhead) {
  /** Heap for Spark itself, sources and rows: its own default. */
  private static final long LEAST_HEAP = 1024;

  /**
   * @param sent bytes that the driver broadcasts
   */
  public static Sizes of(MemoryPlan memory, HeapPlan heaps, long sent) {
    return new Sizes(
        Math.max(LEAST_HEAP, mib(HeapPlan.needed(heaps.driver(), sent))),
        Math.max(LEAST_HEAP, mib(HeapPlan.needed(heaps.executor(), 0))),
        mib(MemoryBudget.needed(memory)));
  }

  private static long mib(long bytes) {
    return (bytes + (1 << 20) - 1) >> 20;
  }

  /** As spark-submit's options. */
  public String options() {
    return String.format(
        Locale.ROOT,
        "--driver-memory %dm --executor-memory %dm --conf spark.executor.memoryOverhead=%dm",
        driver,
        executor,
        overhead);
  }
}
