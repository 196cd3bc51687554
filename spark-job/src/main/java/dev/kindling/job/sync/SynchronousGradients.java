package dev.kindling.job.sync;

import dev.kindling.data.TokenBatch;
import dev.kindling.job.broadcast.ExecutorModels;
import dev.kindling.job.broadcast.MemoryUse;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.WeightDelivery;
import dev.kindling.job.ingest.Batches;
import dev.kindling.job.ingest.MicroBatch;
import dev.kindling.job.ingest.Tasks;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.model.BatchResult;
import dev.kindling.model.Model;
import dev.kindling.train.GradientSum;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.TreeMap;
import org.apache.spark.broadcast.Broadcast;
import org.jspecify.annotations.Nullable;

/**
 * One step as one short stage: trainables down by broadcast, one exact sum up from each task as its
 * result. Nothing else crosses the wire, and nothing is committed here.
 */
public final class SynchronousGradients {
  private final Cluster cluster;
  private final AdapterLayout layout;
  private final int parts;

  /**
   * @param parts micro-batches of a full batch
   */
  public SynchronousGradients(Cluster cluster, AdapterLayout layout, int parts) {
    this.cluster = cluster;
    this.layout = layout;
    this.parts = parts;
  }

  /**
   * What a step brought.
   *
   * @param sum over all micro-batches; null if there was no attempt
   * @param executors ids of those who computed, with how often each loaded the weights
   * @param bytesDown trainables, once for each of them
   * @param bytesUp task results
   * @param memory the most that any executor's JVM held
   * @param numerics what executors say that their bits depend on, each with one that says so
   * @param computeSeconds of the slowest task
   * @param seconds of the whole exchange, the computation included
   */
  public record Outcome(
      @Nullable GradientSum sum,
      TreeMap<String, Integer> executors,
      long bytesDown,
      long bytesUp,
      MemoryUse memory,
      TreeMap<String, String> numerics,
      double computeSeconds,
      double seconds) {
    /** What no attempt has cost. */
    public static Outcome nothing() {
      return new Outcome(null, new TreeMap<>(), 0, 0, new MemoryUse(0, 0), new TreeMap<>(), 0, 0);
    }

    /** This outcome, with the cost of an attempt before it. */
    public Outcome after(Outcome attempt) {
      return new Outcome(
          sum,
          executors,
          bytesDown + attempt.bytesDown,
          bytesUp + attempt.bytesUp,
          memory.max(attempt.memory),
          numerics,
          computeSeconds + attempt.computeSeconds,
          seconds + attempt.seconds);
    }
  }

  /** Computes a step's gradient under the given trainables and fixed-point exponents. */
  public Outcome step(Batches batches, long step, float[] trainables, int[] exponents) {
    long start = System.nanoTime();
    cluster.spark().sc().setJobDescription("step " + (step + 1));
    Broadcast<float[]> sent = cluster.send(trainables);
    List<byte[]> frames =
        Tasks.run(
            cluster.spark(),
            batches.frames(),
            batches.partitionsOf(step),
            work(cluster.spec(), cluster.delivery(), sent, step, exponents, parts));
    sent.destroy();
    GradientSum sum = new GradientSum(layout, exponents, parts);
    TreeMap<String, Integer> executors = new TreeMap<>();
    long up = 0;
    long slowest = 0;
    MemoryUse memory = new MemoryUse(0, 0);
    TreeMap<String, String> numerics = new TreeMap<>();
    for (byte[] frame : frames) {
      StepReport report = StepReport.decode(frame);
      up += frame.length;
      if (!report.worked()) {
        continue;
      }
      sum.merge(report.payload());
      executors.merge(report.executor(), report.weightLoads(), Math::max);
      memory = memory.max(report.memory());
      numerics.putIfAbsent(report.numerics(), report.executor());
      slowest = Math.max(slowest, report.nanos());
    }
    return new Outcome(
        sum,
        executors,
        4L * trainables.length * executors.size(),
        up,
        memory,
        numerics,
        slowest / 1e9,
        (System.nanoTime() - start) / 1e9);
  }

  private static Tasks.Work<byte[]> work(
      ModelSpec spec,
      WeightDelivery delivery,
      Broadcast<float[]> trainables,
      long step,
      int[] exponents,
      int parts) {
    return frames ->
        Cluster.inTask(
            spec,
            delivery,
            trainables,
            of(frames, step),
            (models, model, mine) -> sum(models, model, mine, exponents, parts, spec.seed()));
  }

  /** A partition may hold several steps. */
  private static List<byte[]> of(Iterator<byte[]> frames, long step) {
    List<byte[]> mine = new ArrayList<>();
    while (frames.hasNext()) {
      byte[] frame = frames.next();
      if (MicroBatch.step(frame) == step) {
        mine.add(frame);
      }
    }
    return mine;
  }

  private static byte[] sum(
      ExecutorModels models,
      Model model,
      List<byte[]> frames,
      int[] exponents,
      int parts,
      long seed) {
    GradientSum sum = new GradientSum(models.layout(), exponents, parts);
    float[] gradient = new float[models.layout().elements()];
    for (byte[] frame : frames) {
      TokenBatch batch =
          TokenBatch.packed(MicroBatch.decode(frame).rows(), models.plan().rules(), seed);
      BatchResult result = model.gradient(batch, gradient);
      sum.add(gradient, result);
    }
    return sum.encode();
  }
}
