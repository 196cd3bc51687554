package dev.kindling.job.sync;

import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.gpu.TaskDevice;
import dev.kindling.job.ingest.Tasks;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.model.BatchResult;
import dev.kindling.train.GradientSum;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.broadcast.Broadcast;

/**
 * How the sums of a step's tasks become one on the driver: one leaves each task or, where that
 * pays, each host.
 */
public final class Reduction {
  private static final BatchResult NOTHING = new BatchResult(0, 0, 0, 0, 0, 0);

  private final Cluster cluster;
  private final OnHosts onHosts;
  private final StepSums sums;

  Reduction(Cluster cluster, OnHosts onHosts, StepSums sums) {
    this.cluster = cluster;
    this.onHosts = onHosts;
    this.sums = sums;
  }

  /**
   * Has micro-batches computed and their gradients added.
   *
   * @param frames of micro-batches
   * @param partitions those with this step's
   * @param work a {@link StepReport} with a sum
   * @param learning trainables that have gradients
   * @param into what they are added to, in whatever order they arrive
   * @return what tasks say beside their sums
   */
  Gathered run(
      JavaRDD<byte[]> frames,
      List<Integer> partitions,
      Tasks.Work<byte[]> work,
      int learning,
      GradientSum into) {
    Gathered gathered = new Gathered();
    if (!onHosts.pays(learning, partitions.size(), cluster.hosts())) {
      Tasks.each(
          cluster.spark(),
          frames,
          partitions,
          work,
          (frame, partition) -> {
            StepReport.Read read = gathered.add(frame);
            if (read.worked()) {
              into.merge(read.payload());
            }
          });
      return gathered;
    }
    try (HostSums hosts = new HostSums(cluster.spark(), frames, work)) {
      hosts.compute(partitions, gathered::add);
      hosts.add(adding(sums), frame -> into.merge(gathered.add(frame).payload()));
    }
    return gathered;
  }

  /** Adds what tasks of one host have computed. */
  private static Tasks.Work<byte[]> adding(StepSums sums) {
    return frames -> {
      GradientSum sum = sums.empty();
      frames.forEachRemaining(frame -> sum.merge(StepReport.decode(frame).payload()));
      return report(sums.spec(), sum);
    };
  }

  private static byte[] report(ModelSpec spec, GradientSum sum) {
    return Cluster.report(spec, 0, TaskDevice.of(spec.compute()))
        .encode(new StepReport.Payload(sum.encodedBytes(), sum::encode));
  }

  /**
   * A step that computes nothing: all trainables down, and as much of their sums up as if all had
   * gradients.
   *
   * @param ones as many as there are trainables
   */
  public static void rehearse(
      Cluster cluster, AdapterLayout layout, float[] ones, int tasks, OnHosts onHosts) {
    int[] exponents = GradientSum.firstExponents(layout);
    StepSums sums = new StepSums(cluster.spec(), layout.settings().r(), exponents, tasks);
    Broadcast<float[]> sent = cluster.send(ones);
    new Reduction(cluster, onHosts, sums)
        .run(
            cluster.tasks(tasks).map(task -> new byte[0]),
            IntStream.range(0, tasks).boxed().toList(),
            nothing -> {
              GradientSum sum = sums.empty();
              sum.add(sent.value(), NOTHING);
              return report(sums.spec(), sum);
            },
            layout.learning(sums.spec().halves()),
            sums.empty(layout));
    sent.destroy();
  }
}
