package dev.kindling.job;

import dev.kindling.job.averaging.LocalRule;
import dev.kindling.job.averaging.ParameterAveraging;
import dev.kindling.job.broadcast.HeapPlan;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.config.ConfigProblems;
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
import dev.kindling.lora.AdapterLayout;
import dev.kindling.train.OuterStep;
import dev.kindling.train.TrainingState;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
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
            : Optional.empty(),
        sync.exactness() == Exactness.FEDEX);
  }

  private long averagings() {
    int frequency = config.sync().frequency();
    return (steps + frequency - 1) / frequency;
  }

  /** Bytes of what an averaging adds to the base: of rank r for each worker but one. */
  private long change(Preparation prepared) {
    AdapterLayout layout = prepared.layout();
    boolean changes = config.sync().exactness() == Exactness.FEDEX;
    long rank = changes ? (workers.orElse(1) - 1L) * layout.settings().r() : 0;
    return 4 * rank * layout.pairs(1).elements();
  }

  /**
   * Refuses what could not be carried through.
   *
   * @throws ConfigProblems naming what to change
   */
  void requirePossible(Preparation prepared) {
    List<String> problems = new ArrayList<>();
    long values = change(prepared) / 4 * averagings() + prepared.layout().elements();
    if (values > Integer.MAX_VALUE) {
      problems.add(
          String.format(
              Locale.ROOT,
              "sync.exactness = fedex would bring %,d averagings of %,d values each, and the adapter"
                  + " of all of them can have at most %,d: raise sync.averaging-frequency, or lower"
                  + " adapter.r or sync.workers",
              averagings(),
              change(prepared) / 4,
              Integer.MAX_VALUE));
    }
    List<String> shared = prepared.plan().sharedWeights(prepared.layout());
    if (config.sync().exactness() == Exactness.FEDEX && !shared.isEmpty()) {
      problems.add(
          "sync.exactness = fedex changes the weights of adapted layers, and those of "
              + String.join(", ", shared)
              + " are another layer's too: take them out of adapter.target-modules");
    }
    ConfigProblems.check(problems);
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
   * What an executor's tensors occupy.
   *
   * @param tensors without what this takes
   * @param optimizer bytes of its state
   */
  MemoryPlan memory(Preparation prepared, MemoryPlan tensors, long optimizer) {
    return workers.isPresent()
        ? tensors.averaging(prepared.layout().elements(), optimizer)
        : tensors;
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
            .with(change(prepared), averagings())
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
          (vectors + change(prepared)) * executors / frequency,
          vectors * workers.get() / frequency);
    }
    long up = tasks * StepReport.bytes(who, spec.compute().numerics(), prepared.layout());
    int each = (parts + tasks - 1) / tasks;
    boolean shorter = config.sync().compression() == Compression.BF16 && each < 4;
    return new Prediction.Exchange(
        4 * elements * executors, shorter ? up - (8 * tasks - 2 * parts) * elements : up);
  }
}
