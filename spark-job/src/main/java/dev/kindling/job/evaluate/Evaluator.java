package dev.kindling.job.evaluate;

import dev.kindling.InvalidInput;
import dev.kindling.data.EpochOrder;
import dev.kindling.data.Grouping;
import dev.kindling.data.TokenBatch;
import dev.kindling.job.broadcast.ExecutorModels;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.WeightDelivery;
import dev.kindling.job.ingest.Batches;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.ingest.Lanes;
import dev.kindling.job.ingest.MicroBatch;
import dev.kindling.job.ingest.Tasks;
import dev.kindling.job.sync.Cluster;
import dev.kindling.job.sync.Diverged;
import dev.kindling.job.sync.StepReport;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.Prefix;
import dev.kindling.model.Model;
import dev.kindling.train.Totals;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.OptionalDouble;
import org.apache.spark.broadcast.Broadcast;

/** Loss and accuracy over a whole data set, in micro-batches by example index, as one stage. */
public final class Evaluator implements AutoCloseable {
  /** Micro-batches whose examples are sorted by length together. */
  private static final int WINDOW = 32;

  private final Cluster cluster;
  private final Examples examples;
  private final Batches batches;
  private final String name;

  /**
   * @param grouping how neighbouring examples are cut into micro-batches
   * @param name what the data is called, for messages
   */
  public Evaluator(Cluster cluster, Examples examples, Grouping grouping, String name) {
    this.cluster = cluster;
    this.examples = examples;
    this.name = name;
    int window = WINDOW * grouping.rows();
    this.batches =
        Batches.lay(
            examples,
            new EpochOrder(examples.count(), false, 0),
            0,
            examples.count(),
            window,
            grouping,
            Lanes.balanced(cluster.slots(), window, grouping),
            cluster.slots(),
            cluster.needs());
  }

  /**
   * Evaluates the model with the given trainables.
   *
   * @param changes of the base, in order
   * @throws InvalidInput if the data has no target at all
   */
  public Evaluation evaluate(float[] trainables, List<BaseChange> changes) {
    return evaluate(cluster, trainables, changes);
  }

  /** Evaluates another model with the same trainables, on the same rows. */
  public Evaluation evaluate(Cluster other, float[] trainables) {
    return evaluate(other, trainables, List.of());
  }

  private Evaluation evaluate(Cluster of, float[] trainables, List<BaseChange> changes) {
    int r = of.spec().adapter().r();
    return evaluate(of, trainables, changes, r, r).get(0);
  }

  /** Evaluates each prefix of the pairs, from rank 1 on, in one pass over the data. */
  public List<Evaluation> ranks(float[] trainables) {
    return evaluate(cluster, trainables, List.of(), 1, cluster.spec().adapter().r());
  }

  private List<Evaluation> evaluate(
      Cluster of, float[] trainables, List<BaseChange> changes, int first, int last) {
    cluster.spark().sc().setJobDescription("evaluate " + name);
    Broadcast<float[]> sent = cluster.send(trainables);
    List<Totals> totals = new ArrayList<>();
    for (int rank = first; rank <= last; rank++) {
      totals.add(new Totals());
    }
    for (byte[] frame :
        Tasks.runAll(
            cluster.spark(),
            batches.frames(),
            work(of.spec(), of.delivery(changes), sent, first, last))) {
      StepReport.Read read = StepReport.decode(frame);
      if (read.worked()) {
        totals.forEach(t -> t.add(Totals.decode(read.payload())));
      }
    }
    sent.destroy();
    return totals.stream().map(this::evaluation).toList();
  }

  private Evaluation evaluation(Totals totals) {
    if (totals.targets() == 0) {
      throw new InvalidInput(name, "has no row with a target", "expected at least one");
    }
    if (!totals.finite()) {
      throw new Diverged("evaluation of " + name);
    }
    boolean tokens = cluster.spec().plan().predictsTokens();
    return new Evaluation(
        totals.meanLoss(),
        tokens ? OptionalDouble.of(Math.exp(totals.meanLoss())) : OptionalDouble.empty(),
        tokens ? OptionalDouble.empty() : OptionalDouble.of(totals.accuracy()),
        totals.targets(),
        totals.examples());
  }

  private static Tasks.Work<byte[]> work(
      ModelSpec spec, WeightDelivery delivery, Broadcast<float[]> trainables, int first, int last) {
    return frames ->
        Cluster.inTask(
            spec,
            delivery,
            all(frames),
            (models, mine) -> {
              List<Totals> all = new ArrayList<>();
              for (int rank = first; rank <= last; rank++) {
                Prefix prefix = models.prefix(rank);
                float[] values = prefix.take(trainables.value());
                all.add(models.use(prefix, values, model -> totals(models, model, mine)));
              }
              return new StepReport.Payload(
                  all.size() * Totals.ENCODED_BYTES,
                  frame -> all.forEach(totals -> totals.encode(frame)));
            });
  }

  private static Totals totals(ExecutorModels models, Model model, List<byte[]> frames) {
    Totals totals = new Totals();
    for (byte[] frame : frames) {
      MicroBatch batch = MicroBatch.decode(frame);
      totals.add(model.evaluate(TokenBatch.packed(batch.rows(), models.plan().rules(), 0)));
    }
    return totals;
  }

  /** Encoded micro-batches of a partition: their tokens are few beside the model. */
  private static List<byte[]> all(Iterator<byte[]> frames) {
    List<byte[]> all = new ArrayList<>();
    frames.forEachRemaining(all::add);
    return all;
  }

  @Override
  public void close() {
    batches.release();
    examples.release();
  }
}
