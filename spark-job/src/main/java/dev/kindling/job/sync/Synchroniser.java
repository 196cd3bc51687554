package dev.kindling.job.sync;

import dev.kindling.InvalidInput;
import dev.kindling.job.ingest.Batches;
import dev.kindling.job.ingest.Lanes;
import dev.kindling.train.Totals;
import dev.kindling.train.TrainingState.Committed;
import java.util.List;

/** How what the executors compute becomes the next state. */
public interface Synchroniser {
  /** Who computes what of a step. */
  Lanes lanes();

  /**
   * Computes and commits the next steps: one, or as many as the executors take by themselves.
   *
   * @param end no step from here on
   */
  List<Step> advance(Batches batches, long end);

  /**
   * Every step must teach something.
   *
   * @param step from 0
   * @throws InvalidInput if it has no target
   */
  static void requireTargets(long step, Totals totals) {
    if (totals.targets() == 0) {
      throw new InvalidInput(
          "data.train",
          "the batch of step " + (step + 1) + " has no target",
          "rows teach nothing whose labels are all -100, or whose prompt fills data.max-length:"
              + " mend them, or use larger batches");
    }
  }

  /** A committed step and what it cost. */
  record Step(Committed committed, Exchange exchange) {}
}
