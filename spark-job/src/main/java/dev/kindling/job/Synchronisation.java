package dev.kindling.job;

import dev.kindling.job.averaging.LocalRule;
import dev.kindling.job.averaging.ParameterAveraging;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.JobConfig.Exactness;
import dev.kindling.job.config.JobConfig.Outer;
import dev.kindling.job.config.JobConfig.Sync;
import dev.kindling.job.ingest.Lanes;
import dev.kindling.job.resume.Checkpoints.Saved;
import dev.kindling.job.sync.Cluster;
import dev.kindling.job.sync.Synchroniser;
import dev.kindling.job.sync.SynchronousGradients;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.train.OuterStep;
import dev.kindling.train.TrainingState;
import java.util.Optional;

/**
 * How a run's executors work together.
 *
 * @param workers that share each batch; empty where that is of no account
 */
record Synchronisation(JobConfig config, Optional<Integer> workers) {
  /**
   * As configured; a run that goes on has as many workers as it began with, unless told otherwise.
   */
  static Synchronisation of(JobConfig config, Cluster cluster, Optional<Saved> saved) {
    if (!config.sync().averages()) {
      return new Synchronisation(config, Optional.empty());
    }
    Optional<Integer> before =
        saved.map(s -> s.checkpoint().inputs().get("sync.workers")).map(Integer::valueOf);
    int slots = Math.min(cluster.slots(), config.compute().batch());
    return new Synchronisation(
        config, Optional.of(config.sync().workers().or(() -> before).orElse(slots)));
  }

  private LocalRule rule(OptimizerSettings optimizer, double maxGradNorm) {
    return new LocalRule(optimizer, maxGradNorm, config.sync().exactness() == Exactness.FFA);
  }

  /** The state before the first step. */
  TrainingState state(Preparation prepared, OptimizerSettings optimizer, double maxGradNorm) {
    Sync sync = config.sync();
    int elements = prepared.layout().elements();
    return new TrainingState(
        prepared.layout(),
        prepared.start(),
        rule(optimizer, maxGradNorm).update(prepared.layout()),
        sync.outer() == Outer.NESTEROV
            ? Optional.of(new OuterStep(sync.outerRate(), sync.outerMomentum(), elements))
            : Optional.empty());
  }

  /** What advances a state. */
  Synchroniser of(
      Preparation prepared, TrainingState state, OptimizerSettings optimizer, double maxGradNorm) {
    Cluster cluster = prepared.cluster();
    int batch = config.compute().batch();
    if (workers.isPresent()) {
      int frequency = config.sync().frequency();
      return new ParameterAveraging(
          cluster, state, rule(optimizer, maxGradNorm), workers.get(), frequency);
    }
    Lanes lanes = Lanes.balanced(cluster.slots(), batch, prepared.grouping());
    return new SynchronousGradients(
        cluster, prepared.layout(), state, lanes, config.compute().parts());
  }
}
