package dev.kindling.lora.plan;

import java.io.Serializable;
import java.util.List;
import java.util.Optional;

/**
 * What a layer allows: the only place that says which plans are legal, and which of them are chosen
 * unasked.
 *
 * @param drops whether inputs of the adapter's branch are dropped in training
 * @param rounds whether products round what they multiply (bf16, tf32), a merged weight once more
 * @param samples whether the input's gradient goes on through a part of the weight
 */
public record PlanRules(boolean drops, boolean rounds, boolean samples) implements Serializable {
  /** Of layers with exact gradients. */
  public PlanRules(boolean drops, boolean rounds) {
    this(drops, rounds, false);
  }

  /** Those of layers of a shape. */
  public PlanRules over(PairShape shape) {
    return new PlanRules(drops, rounds, shape.samples());
  }

  /** Why a plan is not legal; empty if it is. */
  public Optional<String> against(PairPlan plan) {
    if (plan.merges() && drops) {
      return Optional.of(
          plan
              + " merges the adapter into the weight, but adapter.dropout acts on the adapter's"
              + " branch only; leave one of the two out");
    }
    if (samples && plan.backward().merges()) {
      return Optional.of(
          plan
              + " merges the adapter into the weight, and with sampling.kept only a part of its"
              + " gradient goes on; leave one of the two out");
    }
    if (plan.keepsProjection() && plan.forward().merges()) {
      return Optional.of(plan + " keeps a projection that its forward does not form");
    }
    if (plan.keepsProjection() && !plan.backward().readsProjection()) {
      return Optional.of(plan + " keeps a projection that its backward does not read");
    }
    return Optional.empty();
  }

  /** All legal plans, plain first. */
  public List<PairPlan> legal() {
    return PairPlan.all().stream().filter(plan -> against(plan).isEmpty()).toList();
  }

  /**
   * Legal plans whose results differ by the order of sums alone, plain first: a chooser takes no
   * others by itself. Where products round, a merged weight is rounded, in bf16 without bias, so
   * that whoever wants it has to ask for it.
   */
  public List<PairPlan> offered() {
    return legal().stream().filter(plan -> !(rounds && plan.merges())).toList();
  }
}
