package dev.kindling.job.sync;

import dev.kindling.job.broadcast.ExecutorModels;
import dev.kindling.job.broadcast.MemoryUse;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.WeightDelivery;
import dev.kindling.model.Model;
import java.util.Iterator;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;

/**
 * The executors with a model on them.
 *
 * @param spark the driver's context
 * @param spec what to build
 * @param delivery how the weights come
 */
public record Cluster(JavaSparkContext spark, ModelSpec spec, WeightDelivery delivery) {
  /** What a task does with its model. */
  public interface Use {
    byte[] apply(ExecutorModels models, Model model, Iterator<byte[]> frames);
  }

  /** Sends a vector of trainables down, once to each executor that asks. */
  public Broadcast<float[]> send(float[] trainables) {
    return spark.broadcast(trainables);
  }

  /** Task slots now: partitions worth having. */
  public int slots() {
    return Math.max(1, spark.defaultParallelism());
  }

  /** Tasks that one executor runs at once. */
  public int tasksPerExecutor() {
    int all = spark.sc().statusTracker().getExecutorInfos().length;
    int executors = spark.isLocal() ? 1 : Math.max(1, all - 1); // the driver is one of them
    return (slots() + executors - 1) / executors;
  }

  /** Runs in a task: borrows a model with the given trainables and reports what it made. */
  public static byte[] inTask(
      ModelSpec spec,
      WeightDelivery delivery,
      Broadcast<float[]> trainables,
      Iterator<byte[]> frames,
      Use use) {
    ExecutorModels models = ExecutorModels.of(spec, delivery);
    Model model = models.borrow();
    long start = System.nanoTime();
    byte[] payload;
    try {
      model.load(trainables.value());
      payload = use.apply(models, model, frames);
    } finally {
      models.giveBack(model);
    }
    return new StepReport(
            SparkEnv.get().executorId(),
            ExecutorModels.loads(),
            System.nanoTime() - start,
            MemoryUse.now(),
            payload)
        .encode();
  }
}
