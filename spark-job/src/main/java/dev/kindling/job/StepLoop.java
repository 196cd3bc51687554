package dev.kindling.job;

import dev.kindling.InvalidInput;
import dev.kindling.data.EpochOrder;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.ingest.Batches;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.report.Progress;
import dev.kindling.job.report.ResultFolder;
import dev.kindling.job.report.RunReport;
import dev.kindling.job.resume.Checkpoint;
import dev.kindling.job.resume.Preempted;
import dev.kindling.job.resume.Stop;
import dev.kindling.job.sync.Diverged;
import dev.kindling.job.sync.SynchronousGradients;
import dev.kindling.job.sync.SynchronousGradients.Outcome;
import dev.kindling.train.TrainingState;
import dev.kindling.train.TrainingState.Committed;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.SparkException;

/**
 * Mutable: the steps of a run. Each is computed on the executors, committed here, written down, and
 * kept in a checkpoint from time to time. Nothing but the state and the steps' numbers decides what
 * the next one does, so a run goes on from a checkpoint as if it had never stopped.
 */
final class StepLoop {
  /**
   * Shortest range of steps that is shuffled at once, so that tiny data is not shuffled each epoch.
   */
  private static final long LEAST_STEPS = 256;

  private final JobConfig config;
  private final Preparation prepared;
  private final TrainingState state;
  private final RunReport report;
  private final ResultFolder folder;
  private final Stop stop;

  /** What all executors say of their numerics; empty before the first step. */
  private String numerics = "";

  StepLoop(
      JobConfig config,
      Preparation prepared,
      TrainingState state,
      RunReport report,
      ResultFolder folder,
      Stop stop) {
    this.config = config;
    this.prepared = prepared;
    this.state = state;
    this.report = report;
    this.folder = folder;
    this.stop = stop;
  }

  /**
   * Runs the steps that are left.
   *
   * @param from where the run stands
   * @throws Preempted if asked to stop; what was committed is kept then
   */
  void run(Examples examples, long steps, Checkpoint from, Progress progress) throws IOException {
    numerics = from.numerics();
    JobConfig.Compute compute = config.compute();
    int every = config.output().orElseThrow().checkpointEvery();
    long n = examples.count();
    EpochOrder order = new EpochOrder(n, config.data().shuffle(), compute.seed());
    SynchronousGradients gradients =
        new SynchronousGradients(prepared.cluster(), prepared.layout(), compute.parts());
    long perRange = Math.max(LEAST_STEPS, (n + compute.batch() - 1) / compute.batch());
    for (long first = state.step(); first < steps; first += perRange) {
      long end = Math.min(steps, first + perRange);
      Batches batches =
          Batches.lay(
              examples,
              order,
              first * compute.batch(),
              end * compute.batch(),
              compute.batch(),
              prepared.grouping(),
              prepared.cluster().slots());
      for (long step = first; step < end; step++) {
        Outcome outcome = outcome(gradients, batches, step, from);
        Committed committed = state.commit(outcome.sum());
        if (!state.finite()) {
          throw new Diverged("step " + committed.step());
        }
        if (step == from.step()) {
          prepared.cluster().delivery().delivered();
        }
        folder.metric(report.step(committed, outcome));
        progress.step(committed.step(), committed.loss(), committed.tokens() / outcome.seconds());
        if (committed.step() % every == 0 || committed.step() == steps) {
          keep(from);
        }
      }
      batches.release();
    }
    examples.release();
  }

  private void keep(Checkpoint from) throws IOException {
    folder.checkpoint(from.at(state.step(), state.exponents(), numerics), state.tensors());
  }

  /** Computes a step, unless asked to stop before it is done. */
  private Outcome outcome(
      SynchronousGradients gradients, Batches batches, long step, Checkpoint from)
      throws IOException {
    try {
      if (!stop.asked()) {
        return exact(gradients, batches, step);
      }
    } catch (Exception e) {
      if (!(e instanceof SparkException) || !stop.asked()) { // stopping cancels what is under way
        throw e;
      }
    }
    if (step > from.step()) {
      keep(from);
    }
    throw new Preempted(step);
  }

  /**
   * Repeats a step whose sum does not fit its fixed-point scale, with the scale that it asks for.
   */
  private Outcome exact(SynchronousGradients gradients, Batches batches, long step) {
    Outcome spent = Outcome.nothing();
    while (true) {
      Outcome outcome =
          gradients.step(batches, step, state.trainables(), state.exponents()).after(spent);
      requireAlike(outcome.numerics());
      if (!outcome.sum().finite()) {
        throw new Diverged("step " + (step + 1));
      }
      if (outcome.sum().totals().targets() == 0) {
        throw new InvalidInput(
            "data.train",
            "the batch of step " + (step + 1) + " has no target",
            "rows teach nothing whose labels are all -100, or whose prompt fills data.max-length:"
                + " mend them, or use larger batches");
      }
      if (outcome.sum().fits()) {
        return outcome;
      }
      state.rescale(outcome.sum());
      spent = outcome;
    }
  }

  /** Bits must not depend on which executor computed what, now or before the run went on. */
  private void requireAlike(Map<String, String> said) {
    Map<String, String> all = new TreeMap<>(said);
    if (!numerics.isEmpty()) {
      all.putIfAbsent(numerics, "steps before");
    }
    if (all.size() > 1 && !config.compute().allowMixed()) {
      List<String> each = new ArrayList<>();
      all.forEach((what, who) -> each.add(who + ": " + what));
      throw new ConfigProblems(
          List.of(
              "executors round differently ("
                  + String.join("; ", each)
                  + "), so the result would depend on who computes what: use machines of one kind,"
                  + " or set compute.allow-mixed = true"));
    }
    numerics = numerics.isEmpty() ? String.join(" | ", said.keySet()) : numerics;
  }
}
