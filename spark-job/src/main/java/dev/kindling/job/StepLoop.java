package dev.kindling.job;

import dev.kindling.data.EpochOrder;
import dev.kindling.job.config.Compute;
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
import dev.kindling.job.sync.Synchroniser;
import dev.kindling.job.sync.Synchroniser.Step;
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
  void run(
      Examples examples, Synchroniser synchroniser, long steps, Checkpoint from, Progress progress)
      throws IOException {
    numerics = from.numerics();
    Compute compute = config.compute();
    int every = config.output().orElseThrow().checkpointEvery();
    int together = synchroniser.lanes().together();
    long n = examples.count();
    EpochOrder order = new EpochOrder(n, config.data().shuffle(), compute.seed());
    long least = Math.max(LEAST_STEPS, (n + compute.batch() - 1) / compute.batch());
    long perRange = (least + together - 1) / together * together;
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
              synchroniser.lanes(),
              prepared.cluster().slots(),
              prepared.cluster().needs());
      while (state.step() < end) {
        long before = state.step();
        for (Step step : advance(synchroniser, batches, end, from)) {
          Committed committed = step.committed();
          folder.metric(report.step(committed, step.exchange()));
          double speed = committed.tokens() / step.exchange().seconds();
          progress.step(committed.step(), committed.loss(), speed);
        }
        if (before == from.step()) {
          prepared.cluster().delivery().delivered();
        }
        if (state.step() / every > before / every || state.step() == steps) {
          keep(from);
        }
      }
      batches.release();
    }
    examples.release();
  }

  private void keep(Checkpoint from) throws IOException {
    folder.checkpoint(
        from.at(state.step(), state.exponents(), numerics), state.tensors(), state.changes());
  }

  /** Commits the next steps, unless asked to stop before they are done. */
  private List<Step> advance(Synchroniser synchroniser, Batches batches, long end, Checkpoint from)
      throws IOException {
    long before = state.step();
    try {
      if (!stop.asked()) {
        List<Step> steps = synchroniser.advance(batches, end);
        steps.forEach(step -> prepared.cluster().see(step.exchange().gpus()));
        steps.forEach(step -> requireAlike(step.exchange().numerics()));
        if (!state.finite()) {
          throw new Diverged("step " + state.step());
        }
        return steps;
      }
    } catch (Exception e) {
      if (!(e instanceof SparkException) || !stop.asked()) { // stopping cancels what is under way
        throw e;
      }
    }
    if (before > from.step()) {
      keep(from);
    }
    throw new Preempted(before);
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
