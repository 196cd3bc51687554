package dev.kindling.job.broadcast;

import dev.kindling.lora.BaseChange;
import java.io.Serializable;
import org.apache.spark.SparkEnv;
import org.apache.spark.broadcast.Broadcast;

/**
 * A change of the base on its way: fetched once by each executor, which then drops it.
 *
 * @param rank of the factors
 */
public record SentChange(int rank, Broadcast<float[]> factors) implements Serializable {
  /** What was sent; call once in a JVM. */
  BaseChange take() {
    BaseChange change = new BaseChange(rank, factors.value());
    if (!SparkEnv.get().executorId().equals("driver")) { // which keeps it for those that come
      SparkEnv.get().blockManager().removeBroadcast(factors.id(), true);
    }
    return change;
  }
}
