package dev.kindling.job.sync;

import dev.kindling.data.TokenBatch;
import dev.kindling.job.broadcast.ExecutorModels;
import dev.kindling.job.broadcast.WeightDelivery;
import dev.kindling.job.ingest.Batches;
import dev.kindling.job.ingest.Lanes;
import dev.kindling.job.ingest.MicroBatch;
import dev.kindling.job.ingest.Tasks;
import dev.kindling.lora.Prefix;
import dev.kindling.model.Model;
import dev.kindling.train.GradientSum;
import dev.kindling.train.MicroBatches;
import dev.kindling.train.RoundedPart;
import dev.kindling.train.TrainingState;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.Supplier;
import org.apache.spark.broadcast.Broadcast;

/**
 * One step as one short stage: trainables down by broadcast, one exact sum up from each task as its
 * result; or two, and one sum up from each host. Nothing else crosses the wire.
 */
public final class SynchronousGradients implements Synchroniser {
  private final Cluster cluster;
  private final TrainingState state;
  private final Supplier<Lanes> lanes;
  private final int parts;
  private final boolean rounds;
  private final OnHosts onHosts;

  /**
   * @param state advanced by each step
   * @param lanes asked anew for each range of steps: executors come and go
   * @param parts micro-batches of a full batch
   * @param rounds whether micro-batches' gradients are rounded to bf16, for shorter results
   * @param onHosts when sums are added on their hosts first
   */
  public SynchronousGradients(
      Cluster cluster,
      TrainingState state,
      Supplier<Lanes> lanes,
      int parts,
      boolean rounds,
      OnHosts onHosts) {
    this.cluster = cluster;
    this.state = state;
    this.lanes = lanes;
    this.parts = parts;
    this.rounds = rounds;
    this.onHosts = onHosts;
  }

  @Override
  public Lanes lanes() {
    return lanes.get();
  }

  /** One step; repeated, if its sum does not fit its scale, with the scale that it asks for. */
  @Override
  public List<Step> advance(Batches batches, long end) {
    Exchange spent = Exchange.nothing();
    while (true) {
      Prefix prefix = state.prefix();
      GradientSum sum = new GradientSum(prefix.narrow(), state.exponents(), parts);
      spent = collect(batches, prefix, sum).after(spent);
      if (!sum.finite()) {
        throw new Diverged("step " + (state.step() + 1));
      }
      Synchroniser.requireTargets(state.step(), sum.totals());
      if (sum.fits()) {
        return List.of(new Step(state.commit(sum), spent));
      }
      state.rescale(sum);
    }
  }

  private Exchange collect(Batches batches, Prefix prefix, GradientSum sum) {
    long start = System.nanoTime();
    long step = state.step();
    cluster.spark().sc().setJobDescription("step " + (step + 1));
    Broadcast<float[]> sent = cluster.send(prefix.take(state.trainables()));
    int rank = prefix.narrow().settings().r();
    StepSums sums = new StepSums(cluster.spec(), rank, state.exponents(), parts);
    WeightDelivery delivery = cluster.delivery(state.changes());
    Gathered gathered =
        new Reduction(cluster, onHosts, sums)
            .run(
                batches.frames(),
                batches.partitionsOf(step),
                work(sums, delivery, sent, step, rounds),
                prefix.narrow().learning(cluster.spec().halves()),
                sum);
    sent.destroy();
    long down = 4L * prefix.narrow().elements() + cluster.sent().takeNews();
    return gathered.exchange(
        down, prefix.narrow().elements(), 1, (System.nanoTime() - start) / 1e9);
  }

  private static Tasks.Work<byte[]> work(
      StepSums sums,
      WeightDelivery delivery,
      Broadcast<float[]> trainables,
      long step,
      boolean rounds) {
    return frames ->
        Cluster.inTask(
            sums.spec(),
            delivery,
            of(frames, step),
            (models, mine) -> {
              Prefix prefix = models.prefix(sums.rank());
              GradientSum sum = sums.empty(prefix.narrow());
              return models.use(
                  prefix, trainables.value(), model -> add(models, model, mine, sum, rounds));
            });
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

  private static StepReport.Payload add(
      ExecutorModels models, Model model, List<byte[]> frames, GradientSum sum, boolean rounds) {
    RoundedPart rounded = new RoundedPart(sum);
    Iterator<TokenBatch> batches =
        frames.stream()
            .map(frame -> MicroBatch.decode(frame).rows())
            .map(rows -> TokenBatch.packed(rows, models.plan().rules(), models.seed()))
            .iterator();
    new MicroBatches(model, sum.elements()).each(batches, rounds ? rounded::add : sum::add);
    return rounds
        ? new StepReport.Payload(rounded.encodedBytes(), rounded::encode)
        : new StepReport.Payload(sum.encodedBytes(), sum::encode);
  }
}
