package dev.kindling.job.averaging;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.train.Update;
import java.io.Serializable;
import java.util.List;

/**
 * How a worker updates.
 *
 * @param maxGradNorm of a share's mean gradient; 0 for no clipping
 * @param freezesA whether down-projections stay as they are, so that averages of up-projections are
 *     averages of products (FFA-LoRA, arXiv:2403.12313)
 */
public record LocalRule(OptimizerSettings settings, double maxGradNorm, boolean freezesA)
    implements Serializable {
  /** An update of its own. */
  public Update update(AdapterLayout layout) {
    return new Update(
        settings,
        maxGradNorm,
        layout.elements(),
        freezesA ? layout.halvesThatBeginAtRandom() : List.of());
  }
}
