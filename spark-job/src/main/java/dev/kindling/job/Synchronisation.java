package dev.kindling.job;

import dev.kindling.job.averaging.LocalRule;
import dev.kindling.job.averaging.ParameterAveraging;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.Sync;
import dev.kindling.job.config.Sync.Compression;
import dev.kindling.job.config.Sync.Exactness;
import dev.kindling.job.config.Sync.Outer;
import dev.kindling.job.config.Training;
import dev.kindling.job.ingest.Lanes;
import dev.kindling.job.resume.Checkpoints.Saved;
import dev.kindling.job.sync.Cluster;
import dev.kindling.job.sync.OnHosts;
import dev.kindling.job.sync.Synchroniser;
import dev.kindling.job.sync.SynchronousGradients;
import dev.kindling.train.Learners;
import dev.kindling.train.OuterStep;
import dev.kindling.train.TrainingState;
import java.util.Optional;

/**
 * How a run's executors work together.
 *
 * @param steps of the run
 * @param slots tasks at once on all executors
 * @param workers that share each batch; empty where that is of no account
 */
record Synchronisation(JobConfig config, long steps, int slots, Optional<Integer> workers) {
  /** Some 50 ms of a network of 10 Gbit/s; that a second stage takes less is assumed. */
  private static final long WORTH_A_STAGE = 64L << 20;

  /**
   * As configured; a run that goes on has as many workers as it began with, unless told otherwise.
   */
  static Synchronisation of(JobConfig config, long steps, int slots, Optional<Saved> saved) {
    if (!config.sync().averages()) {
      return new Synchronisation(config, steps, slots, Optional.empty());
    }
    Optional<Integer> before =
        saved.map(s -> s.checkpoint().inputs().get("sync.workers")).map(Integer::valueOf);
    int each = Math.min(slots, config.compute().batch());
    return new Synchronisation(
        config, steps, slots, Optional.of(config.sync().workers().or(() -> before).orElse(each)));
  }

  private LocalRule rule(int r) {
    Training training = config.training().orElseThrow();
    return new LocalRule(
        config.optimizer(steps),
        training.maxGradNorm(),
        new Learners(config.halves(), training.loraPlusRatio()),
        config.merges(steps),
        config.ranks(r));
  }

  /** Says where a run is too short for as many links as its configuration asks for. */
  void tellOfLinks() {
    long links = config.links(steps).count();
    if (config.merging().everySteps().isEmpty() && links < config.merging().links()) {
      System.err.printf(
          "links       %d instead of %d: the run has no more %s%n",
          links, config.merging().links(), config.sync().averages() ? "averagings" : "steps");
    }
  }

  /** What it takes. */
  Needs needs(Preparation prepared) {
    return new Needs(config, prepared, steps, slots, workers);
  }

  /** The state before the first step. */
  TrainingState state(Preparation prepared, Beginning beginning) {
    Sync sync = config.sync();
    int elements = prepared.layout().elements();
    return new TrainingState(
        prepared.layout(),
        beginning.values(),
        beginning.changes(),
        rule(prepared.layout().settings().r()).update(prepared.layout()),
        sync.outer() == Outer.NESTEROV
            ? Optional.of(new OuterStep(sync.outerRate(), sync.outerMomentum(), elements))
            : Optional.empty(),
        sync.exactness() == Exactness.FEDEX);
  }

  /** What advances a state. */
  Synchroniser of(Preparation prepared, TrainingState state) {
    Cluster cluster = prepared.cluster();
    int batch = config.compute().batch();
    if (workers.isPresent()) {
      int frequency = config.sync().frequency();
      return new ParameterAveraging(
          cluster, state, rule(prepared.layout().settings().r()), workers.get(), frequency);
    }
    return new SynchronousGradients(
        cluster,
        state,
        () -> Lanes.balanced(cluster.slots(), batch, prepared.grouping()),
        config.compute().parts(),
        config.sync().compression() == Compression.BF16,
        onHosts(config, cluster.spark().isLocal()));
  }

  /** When sums are added on their hosts; in one JVM nothing leaves one. */
  static OnHosts onHosts(JobConfig config, boolean local) {
    Sync sync = config.sync();
    boolean never = local || sync.compression() == Compression.BF16;
    return new OnHosts(
        switch (sync.sums()) {
          case HOST -> OnHosts.ALWAYS;
          case TASK -> OnHosts.NEVER;
          case AUTO -> never ? OnHosts.NEVER : WORTH_A_STAGE;
        });
  }
}
