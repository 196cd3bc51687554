package dev.kindling.lora.plan;

import java.io.Serializable;
import java.util.Comparator;
import java.util.List;

/**
 * Decides on a plan by sizes and what the run has pinned alone, so that every task decides alike.
 */
public sealed interface PlanChooser extends Serializable {
  /** The plan for a layer, whose input's gradient is wanted. */
  PairPlan choose(PairShape shape, PlanRules rules);

  /** Why it chooses what it chooses, for people. */
  String reason();

  /** The fewest operations; of equals the first in {@link PairPlan#all}. */
  record FewestFlops() implements PlanChooser {
    @Override
    public String reason() {
      return "the fewest operations";
    }

    @Override
    public PairPlan choose(PairShape shape, PlanRules rules) {
      return rules.offered().stream()
          .min(Comparator.comparingLong(plan -> plan.flops(shape, true)))
          .orElseThrow();
    }
  }

  /**
   * What was fastest when it was measured, for as many tokens or the next fewer that were measured,
   * whatever the rank, of which a run measures one; the fewest operations for layers that were not.
   *
   * @param table pinned for a run
   */
  record Measured(List<Choice> table) implements PlanChooser {
    private static final long serialVersionUID = 1;

    public Measured {
      table = List.copyOf(table);
    }

    /** The fastest plan of a shape. */
    public record Choice(PairShape shape, PairPlan plan) implements Serializable {}

    @Override
    public String reason() {
      return "the fastest when measured";
    }

    @Override
    public PairPlan choose(PairShape shape, PlanRules rules) {
      Comparator<Choice> byTokens = Comparator.comparingLong(choice -> choice.shape.tokens());
      List<Choice> layer =
          table.stream()
              .filter(choice -> choice.shape.sameLayer(shape.at(choice.shape.rank())))
              .filter(choice -> rules.against(choice.plan).isEmpty())
              .sorted(byTokens)
              .toList();
      return layer.stream()
          .filter(choice -> choice.shape.tokens() <= shape.tokens())
          .reduce((fewer, more) -> more)
          .or(() -> layer.stream().findFirst())
          .map(Choice::plan)
          .orElseGet(() -> new FewestFlops().choose(shape, rules));
    }
  }

  /** Always the same. */
  record Fixed(PairPlan plan) implements PlanChooser {
    private static final long serialVersionUID = 1;

    @Override
    public String reason() {
      return "set by plan.chooser";
    }

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
