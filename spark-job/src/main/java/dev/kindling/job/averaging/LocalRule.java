package dev.kindling.job.averaging;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Ranks;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.train.Learners;
import dev.kindling.train.Merges;
import dev.kindling.train.Update;
import java.io.Serializable;

/**
 * How trainables are updated: at each step, or by a worker of its own.
 *
 * @param maxGradNorm of a share's mean gradient; 0 for no clipping
 * @param learners halves of pairs that learn
 * @param merges where pairs begin anew: between averagings
 * @param ranks of each step
 */
public record LocalRule(
    OptimizerSettings settings, double maxGradNorm, Learners learners, Merges merges, Ranks ranks)
    implements Serializable {
  /** An update of its own. */
  public Update update(AdapterLayout layout) {
    return new Update(settings, maxGradNorm, layout, learners, merges, ranks);
  }
}
