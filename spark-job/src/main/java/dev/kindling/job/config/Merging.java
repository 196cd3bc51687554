package dev.kindling.job.config;

import dev.kindling.train.Merges.Restart;
import java.util.Optional;

/**
 * When pairs are added to the base and begin anew.
 *
 * @param everySteps given steps from one merge to the next, or empty
 * @param pruned share of the optimiser's state that is forgotten
 * @param warmup of each link but the first, as a share of it
 */
public record Merging(
    int links, Optional<Integer> everySteps, Restart restart, double pruned, double warmup) {
  /** Whether they ever are. */
  public boolean merges() {
    return links > 1 || everySteps.isPresent();
  }
}
