package dev.kindling.job;

import dev.kindling.job.averaging.LocalRule;
import dev.kindling.job.averaging.ParameterAveraging;
import dev.kindling.job.broadcast.HeapPlan;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.JobConfig.Compression;
import dev.kindling.job.config.JobConfig.Exactness;
import dev.kindling.job.config.JobConfig.Outer;
import dev.kindling.job.config.JobConfig.Sync;
import dev.kindling.job.explain.Prediction;
import dev.kindling.job.ingest.Lanes;
import dev.kindling.job.resume.Checkpoints.Saved;
import dev.kindling.job.sync.Cluster;
import dev.kindling.job.sync.StepReport;
import dev.kindling.job.sync.Synchroniser;
import dev.kindling.job.sync.SynchronousGradients;
import dev.kindling.train.OuterStep;
import dev.kindling.train.TrainingState;
import java.util.Optional;

/**
 * How a run's executors work together.
 *
 * @param steps of the run
 * @param workers that share each batch; empty where that is of no account
 */
record Synchronisation(JobConfig config, long steps, Optional<Integer> workers) {
  /**
   * As configured; a run that goes on has as many workers as it began with, unless told otherwise.
   */
  static Synchronisation of(JobConfig config, long steps, Cluster cluster, Optional<Saved> saved) {
    if (!config.sync().averages()) {
      return new Synchronisation(config, steps, Optional.empty());
    }
    Optional<Integer> before =
        saved.map(s -> s.checkpoint().inputs().get("sync.workers")).map(Integer::valueOf);
    int slots = Math.min(cluster.slots(), config.compute().batch());
    return new Synchronisation(
        config, steps, Optional.of(config.sync().workers().or(() -> before).orElse(slots)));
  }

  private LocalRule rule() {
    JobConfig.Training training = config.training().orElseThrow();
    return new LocalRule(
        training.optimizer(steps),
        training.maxGradNorm(),
        config.sync().exactness() == Exactness.FFA);
  }

  /** The state before the first step. */
  TrainingState state(Preparation prepared) {
    Sync sync = config.sync();
    int elements = prepared.layout().elements();
    return new TrainingState(
        prepared.layout(),
        prepared.start(),
        rule().update(prepared.layout()),
        sync.outer() == Outer.NESTEROV
            ? Optional.of(new OuterStep(sync.outerRate(), sync.outerMomentum(), elements))
            : Optional.empty());
  }

  /** What advances a state. */
  Synchroniser of(Preparation prepared, TrainingState state) {
    Cluster cluster = prepared.cluster();
    int batch = config.compute().batch();
    if (workers.isPresent()) {
      int frequency = config.sync().frequency();
      return new ParameterAveraging(cluster, state, rule(), workers.get(), frequency);
    }
    return new SynchronousGradients(
        cluster,
        prepared.layout(),
        state,
        () -> Lanes.balanced(cluster.slots(), batch, prepared.grouping()),
        config.compute().parts(),
        config.sync().compression() == Compression.BF16);
  }

  /**
   * What it takes of the heaps.
   *
   * @param tasks of an executor at once
   * @param optimizer bytes of its state
   */
  HeapPlan heaps(Preparation prepared, int tasks, long optimizer) {
    long elements = prepared.layout().elements();
    int slots = prepared.cluster().slots();
    return workers.isPresent()
        ? HeapPlan.averaging(elements, tasks, workers.get(), optimizer)
        : HeapPlan.gradients(elements, tasks, Math.min(slots, config.compute().parts()), optimizer);
  }

  /**
   * Bytes of a step.
   *
   * @param parts micro-batches of a step
   * @param tasks that share it
   * @param optimizer bytes of its state
   */
  Prediction.Exchange exchange(
      Preparation prepared, int parts, int tasks, int executors, long optimizer) {
    ModelSpec spec = prepared.cluster().spec();
    String who = prepared.cluster().executorName();
    long elements = prepared.layout().elements();
    if (workers.isPresent()) {
      long vectors = optimizer + 4 * elements;
      int frequency = config.sync().frequency();
      return new Prediction.Exchange(
          vectors * executors / frequency, vectors * workers.get() / frequency);
    }
    long up = tasks * StepReport.bytes(who, spec.compute().numerics(), prepared.layout());
    int each = (parts + tasks - 1) / tasks;
    boolean shorter = config.sync().compression() == Compression.BF16 && each < 4;
    return new Prediction.Exchange(
        4 * elements * executors, shorter ? up - (8 * tasks - 2 * parts) * elements : up);
  }
}
