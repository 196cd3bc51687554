package dev.kindling.job.broadcast;

import java.util.Locale;
import org.apache.spark.SparkConf;

/**
 * What a run's trainables take of the heaps, in bytes: vectors and frames on their way, each copy
 * counted. A driver whose heap is too small does not fail, it hangs: Spark loses results without a
 * word.
 *
 * @param executor of each
 * @param driver of the driver, in local mode without what its tasks take
 */
public record HeapPlan(long executor, long driver) {
  /** Spark's own, which its memory manager sets aside. */
  private static final long RESERVED = 300L << 20;

  /** Share of what is left that blocks may fill before they go to disk (spark.memory.fraction). */
  private static final double BLOCKS = 0.6;

  /** Threads of the driver that read results. */
  private static final int READERS = 4;

  /**
   * Of exact gradients. A task has sums of 8 bytes for each trainable, one or two gradients of 4
   * and a frame of 8, or that frame and Spark's two copies of it; its executor the trainables
   * twice. The driver has trainables, gradient and sums, what it sends twice, and three copies of
   * each result that it reads just then.
   *
   * @param trainables how many there are
   * @param tasks of an executor at once
   * @param all tasks of a step
   * @param optimizer bytes of its state
   */
  public static HeapPlan gradients(long trainables, int tasks, int all, long optimizer) {
    return new HeapPlan(
        trainables * (24L * tasks + 8),
        trainables * (24 + 24L * Math.min(all, READERS)) + optimizer);
  }

  /**
   * With a task for each host that adds its tasks' sums: of each of an executor's tasks there is a
   * block of 8 bytes for each trainable, and the one that adds has a sum of 8, a neighbour's block
   * and Spark's copy of it, and a frame with two copies.
   */
  public HeapPlan addingOnHosts(long trainables, int tasks) {
    return withExecutor(trainables * (8L * tasks + 48));
  }

  /**
   * Of parameter averaging. A task has sums of 8 bytes for each trainable, seven vectors of 4 and
   * its optimiser's state three times, and Spark's two copies of its frame; the driver every
   * worker's frame and what is read of it, the means with their sums, and what it sends.
   */
  public static HeapPlan averaging(long trainables, int tasks, int workers, long optimizer) {
    long result = 4 * trainables + optimizer;
    return new HeapPlan(
        tasks * (36 * trainables + 3 * optimizer + 2 * result) + 2 * result,
        (2L * workers + 3) * result + 3 * result + 8 * trainables + optimizer);
  }

  /**
   * With changes of the base: an executor has one at a time, received and read; the driver all, and
   * once more each the blocks that it sends, their sum and the adapter made of it.
   *
   * @param change bytes of one
   * @param changes of a whole run
   */
  public HeapPlan withChanges(long change, long changes) {
    return new HeapPlan(executor + 2 * change, driver + 4 * change * changes);
  }

  /** With at least so many bytes of the driver's. */
  public HeapPlan withDriver(long least) {
    return new HeapPlan(executor, Math.max(driver, least));
  }

  /** With at least so many bytes of an executor's, at another time than those of a step's tasks. */
  public HeapPlan withExecutor(long least) {
    return new HeapPlan(Math.max(executor, least), driver);
  }

  /**
   * Checks what the JVMs were given.
   *
   * @param broadcast bytes that the driver sends, and so keeps blocks of
   * @throws DoesNotFit if that is too little
   */
  public void require(String master, SparkConf conf, long broadcast) {
    boolean one = master.startsWith("local") && !master.startsWith("local-cluster");
    long own = Runtime.getRuntime().maxMemory();
    require("the driver", "--driver-memory", own, one ? driver + executor : driver, broadcast);
    if (!one) {
      long heap = MemoryBudget.mib(conf, "spark.executor.memory", 1024) << 20;
      require("an executor", "--executor-memory", heap, executor, 0);
    }
  }

  private static void require(String who, String option, long heap, long vectors, long broadcast) {
    long blocks = Math.min(broadcast, (long) (BLOCKS * (heap - RESERVED)));
    if (heap >= RESERVED + blocks + vectors) {
      return;
    }
    long needed = needed(vectors, broadcast);
    throw new DoesNotFit(
        String.format(
            Locale.ROOT,
            "%s needs %,d MiB of heap: %,d for trainables and results on their way, the rest for"
                + " Spark and its blocks; it has %,d. Set %s %dm, or train fewer: adapter.r,"
                + " adapter.target-modules; with sync.exactness = fedex average less often"
                + " (sync.averaging-frequency), by fewer workers; with merge.links take fewer",
            who,
            needed >> 20,
            vectors >> 20,
            heap >> 20,
            option,
            (needed >> 20) + 1));
  }

  /** The heap that holds vectors, whatever of the broadcast is kept beside them. */
  static long needed(long vectors, long broadcast) {
    return RESERVED + Math.min(broadcast + vectors, (long) (vectors / (1 - BLOCKS)));
  }
}
