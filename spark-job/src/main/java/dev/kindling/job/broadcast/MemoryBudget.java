package dev.kindling.job.broadcast;

import java.util.Locale;
import org.apache.spark.SparkConf;
import org.apache.spark.network.util.ByteUnit;
import org.apache.spark.network.util.JavaUtils;

/**
 * What an executor has for tensors, and where that is set.
 *
 * @param bytes beside the heap and what a JVM and compiled products take
 * @param found what the bytes come from, for people
 * @param setting spark-submit's option that would make room for {@code needed} bytes of tensors, as
 *     a format of one number of MiB; empty if none would
 */
public record MemoryBudget(long bytes, String found, String setting) {
  /**
   * What a process takes beside heap and tensors, an estimate: 250 MB of JVM, and 0.35 MB
   * (measured) for each compiled product, of which a run that has 1,500 has many.
   */
  static final long BESIDE = 768L << 20;

  private static final long LEAST_OVERHEAD = 384;

  /**
   * Where resource managers hold a container to its limit (YARN, Kubernetes) the overhead counts;
   * elsewhere the machine's memory does.
   *
   * @param physical memory of the smallest machine with an executor
   */
  public static MemoryBudget of(String master, SparkConf conf, long physical) {
    if (master.startsWith("yarn") || master.startsWith("k8s")) {
      long heap = mib(conf, "spark.executor.memory", 1024);
      double factor =
          conf.getDouble(
              "spark.executor.memoryOverheadFactor",
              conf.getDouble("spark.kubernetes.memoryOverheadFactor", 0.1));
      long standard = Math.max(LEAST_OVERHEAD, (long) (heap * factor));
      long overhead = mib(conf, "spark.executor.memoryOverhead", standard);
      return new MemoryBudget(
          (overhead << 20) - BESIDE,
          "spark.executor.memoryOverhead = " + overhead + "m",
          "--conf spark.executor.memoryOverhead=%dm");
    }
    long heap =
        master.startsWith("local") && !master.startsWith("local-cluster")
            ? Runtime.getRuntime().maxMemory()
            : mib(conf, "spark.executor.memory", 1024) << 20;
    return new MemoryBudget(
        physical - heap - BESIDE,
        String.format(
            Locale.ROOT,
            "%,d MiB of memory, of which the heap may take %,d",
            physical >> 20,
            heap >> 20),
        "");
  }

  static long mib(SparkConf conf, String key, long standard) {
    return conf.contains(key) ? JavaUtils.byteStringAs(conf.get(key), ByteUnit.MiB) : standard;
  }

  /** Bytes beside the heap that a plan asks for. */
  static long needed(MemoryPlan plan) {
    return plan.total() + BESIDE;
  }

  /**
   * Checks a plan.
   *
   * @throws DoesNotFit if it needs more
   */
  public void require(MemoryPlan plan) {
    if (plan.total() <= bytes) {
      return;
    }
    long needed = (needed(plan) + (1 << 20) - 1) >> 20;
    throw new DoesNotFit(
        String.format(
            Locale.ROOT,
            "an executor needs %,d MiB beside its heap: base %,d, activations %,d and scratch %,d of"
                + " %d task(s) of %,d × %,d tokens, adapters %,d, JVM and compiled code %,d; it has"
                + " %s. %sSmaller: train.micro-batch-size, data.max-length; train.recompute = block;"
                + " base.storage = as-stored | nf4; fewer tasks at once (spark.executor.cores)",
            needed,
            (plan.base() + plan.packs()) >> 20,
            plan.activations() >> 20,
            plan.scratch() >> 20,
            plan.tasks(),
            plan.rows(),
            plan.tokens(),
            plan.adapters() >> 20,
            BESIDE >> 20,
            found,
            setting.isEmpty() ? "" : "Set " + String.format(Locale.ROOT, setting, needed) + ". "));
  }
}
