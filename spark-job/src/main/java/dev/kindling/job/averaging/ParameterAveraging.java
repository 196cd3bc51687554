package dev.kindling.job.averaging;

import dev.kindling.dl4j.AdapterNetwork;
import dev.kindling.job.broadcast.MemoryUse;
import dev.kindling.job.ingest.Batches;
import dev.kindling.job.ingest.Lanes;
import dev.kindling.job.sync.Cluster;
import dev.kindling.job.sync.Diverged;
import dev.kindling.job.sync.Exchange;
import dev.kindling.job.sync.Gathered;
import dev.kindling.job.sync.Synchroniser;
import dev.kindling.train.LocalStep;
import dev.kindling.train.Totals;
import dev.kindling.train.TrainingState;
import dev.kindling.train.TrainingState.Committed;
import dev.kindling.train.WorkerResult;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.apache.spark.api.java.JavaRDD;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.spark.impl.multilayer.SparkDl4jMultiLayer;
import org.nd4j.linalg.dataset.DataSet;

/**
 * Some steps as one stage: trainables and optimiser state down by broadcast, every worker goes on
 * by itself with its share of each step's batch, and the mean of where they end up is where all
 * begin the next time. A function of the state, the data and the number of workers; not of who they
 * are.
 */
public final class ParameterAveraging implements Synchroniser {
  private final Cluster cluster;
  private final TrainingState state;
  private final LocalRule rule;
  private final Lanes lanes;

  /**
   * @param state advanced by each averaging
   * @param rule how a worker updates
   * @param workers each has a share of every batch
   * @param frequency steps from one averaging to the next
   */
  public ParameterAveraging(
      Cluster cluster, TrainingState state, LocalRule rule, int workers, int frequency) {
    this.cluster = cluster;
    this.state = state;
    this.rule = rule;
    this.lanes = Lanes.shares(workers, frequency);
  }

  @Override
  public Lanes lanes() {
    return lanes;
  }

  @Override
  public List<Step> advance(Batches batches, long end) {
    long start = System.nanoTime();
    long from = state.step();
    long to = Math.min(end, from + lanes.together());
    cluster.spark().sc().setJobDescription("steps " + (from + 1) + " to " + to);
    AveragingMaster master =
        new AveragingMaster(
            new ShareHook(cluster.spec(), cluster.delivery(state.changes()), rule),
            lanes.count(),
            lanes.together());
    float[] optimizer = state.optimizerState();
    JavaRDD<DataSet> shares =
        batches.lanesOf(from).mapPartitions(frames -> ShareStep.in(frames, from, to));
    MultiLayerNetwork network = AdapterNetwork.of(state.trainables(), optimizer);
    new SparkDl4jMultiLayer(cluster.spark(), network, master).fit(shares);
    AdapterNetwork.free(network);

    Gathered gathered = new Gathered();
    List<WorkerResult> workers = new ArrayList<>();
    for (byte[] frame : master.frames()) {
      workers.add(WorkerResult.decode(gathered.add(frame).payload()));
    }
    check(workers, from);
    long down = 4L * (state.trainables().length + optimizer.length) + cluster.sent().takeNews();
    List<Committed> committed = state.commit(workers);
    return spread(
        committed,
        gathered.exchange(
            down, state.trainables().length, committed.size(), (System.nanoTime() - start) / 1e9));
  }

  private static void check(List<WorkerResult> workers, long from) {
    for (int s = 0; s < workers.get(0).steps().size(); s++) {
      Totals totals = new Totals();
      for (WorkerResult worker : workers) {
        LocalStep step = worker.steps().get(s);
        totals.add(step.totals());
      }
      if (!totals.finite()) {
        throw new Diverged("step " + (from + s + 1));
      }
      Synchroniser.requireTargets(from + s, totals);
    }
  }

  /** Each step has its part of the time; the last one, after which all is exchanged, the bytes. */
  private static List<Step> spread(List<Committed> committed, Exchange whole) {
    List<Step> steps = new ArrayList<>();
    int n = committed.size();
    for (int s = 0; s < n; s++) {
      boolean last = s == n - 1;
      steps.add(
          new Step(
              committed.get(s),
              new Exchange(
                  whole.executors(),
                  last ? whole.bytesDown() : 0,
                  last ? whole.bytesUp() : 0,
                  whole.bytesExact() / n,
                  last ? whole.memory() : new MemoryUse(0, 0),
                  last ? whole.numerics() : new TreeMap<>(),
                  last ? whole.gpus() : new TreeMap<>(),
                  whole.computeSeconds() / n,
                  whole.seconds() / n)));
    }
    return steps;
  }
}
