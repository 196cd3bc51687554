package dev.kindling.job.broadcast;

import java.util.Locale;

/**
 * What to ask for, in MiB: the least that the plans of memory and heaps find enough, and a
 * twentieth of heap beside, since a JVM may use a little less than it is given.
 *
 * @param one heap of a single JVM that is driver and executor
 * @param driver heap
 * @param beside a driver's heap
 * @param executor heap
 * @param overhead beside an executor's heap
 */
public record Sizes(long one, long driver, long beside, long executor, long overhead) {
  /** Heap for Spark itself, sources and rows: its own default. */
  private static final long LEAST_HEAP = 1024;

  /** What a driver that holds no tensor has beside its heap: Spark's own default. */
  private static final long LEAST_BESIDE = 384;

  /**
   * Sizes for plans.
   *
   * @param sent bytes that the driver broadcasts
   * @param arrays bytes that the driver holds outside its heap
   */
  public static Sizes of(MemoryPlan memory, HeapPlan heaps, long sent, long arrays) {
    long driver = heap(heaps.driver(), sent);
    return new Sizes(
        heap(heaps.driver() + heaps.executor(), 0),
        driver,
        Math.max(LEAST_BESIDE, driver / 10) + mib(arrays),
        heap(heaps.executor(), 0),
        mib(MemoryBudget.needed(memory)));
  }

  private static long heap(long vectors, long sent) {
    return Math.max(LEAST_HEAP, mib((long) (1.05 * HeapPlan.needed(vectors, sent))));
  }

  private static long mib(long bytes) {
    return (bytes + (1 << 20) - 1) >> 20;
  }

  /** As spark-submit's options, on one machine. */
  public String local() {
    return String.format(Locale.ROOT, "--driver-memory %dm", one);
  }

  /** As spark-submit's options, on a cluster. */
  public String cluster() {
    return String.format(
        Locale.ROOT,
        "--conf spark.driver.memory=%dm --conf spark.driver.memoryOverhead=%dm"
            + " --conf spark.executor.memory=%dm --conf spark.executor.memoryOverhead=%dm",
        driver,
        beside,
        executor,
        overhead);
  }
}
