package dev.kindling.lora.plan;

import java.io.Serializable;
import java.util.Comparator;

/** Decides on a plan by sizes alone, so that every task decides alike. */
public sealed interface PlanChooser extends Serializable {
  /** The plan for a layer, whose input's gradient is wanted. */
  PairPlan choose(PairShape shape, PlanRules rules);

  /** The fewest operations; of equals the first in {@link PairPlan#all}. */
  record FewestFlops() implements PlanChooser {
    @Override
    public PairPlan choose(PairShape shape, PlanRules rules) {
      return rules.legal().stream()
          .min(Comparator.comparingLong(plan -> plan.flops(shape, true)))
          .orElseThrow();
    }
  }

  /** Always the same. */
  record Fixed(PairPlan plan) implements PlanChooser {
    private static final long serialVersionUID = 1;

    @Override
    public PairPlan choose(PairShape shape, PlanRules rules) {
      rules
          .against(plan)
          .ifPresent(
              why -> {
                throw new IllegalArgumentException(why);
              });
      return plan;
    }
  }
}
