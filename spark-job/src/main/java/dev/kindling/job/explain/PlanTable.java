package dev.kindling.job.explain;

import dev.kindling.cost.JoinedPairs;
import dev.kindling.cost.LayerShape;
import dev.kindling.cost.PairClock;
import dev.kindling.cost.PairClock.Timed;
import dev.kindling.cost.Rates;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/**
 * The orders of products that a run uses, for each distinct low-rank layer at its largest
 * micro-batch.
 *
 * @param joined layers that multiply a common input together
 */
public record PlanTable(List<Layer> layers, List<JoinedPairs> joined) {
  /**
   * Layers of the same sizes.
   *
   * @param words last words of their names
   * @param plan id of the chosen order
   * @param why it was chosen
   * @param candidates all that are worth a look, the fewest operations first
   */
  public record Layer(
      List<String> modules,
      String words,
      PairShape shape,
      String plan,
      String why,
      List<Candidate> candidates) {}

  /**
   * An order of products, for one layer and micro-batch, forward and backward.
   *
   * @param bytes that its products read and write
   * @param keptBytes from forward to backward, beside the layer's input
   * @param scratchBytes as large as the weight
   * @param predictedSeconds null before rates are known
   * @param measuredSeconds null unless the chooser measured
   */
  public record Candidate(
      String plan,
      long flops,
      long bytes,
      long keptBytes,
      long scratchBytes,
      @Nullable Double predictedSeconds,
      @Nullable Double measuredSeconds) {}

  /**
   * @param joined layers that multiply a common input together
   * @param width bytes of an element that is multiplied
   * @param rates of a task; null if nothing is to be predicted
   * @param timed what was measured; empty if nothing was
   */
  public static PlanTable of(
      List<LayerShape> layers,
      List<JoinedPairs> joined,
      PlanChooser chooser,
      PlanRules rules,
      int width,
      @Nullable Rates rates,
      List<Timed> timed) {
    List<Layer> all = new ArrayList<>();
    for (LayerShape layer : layers) {
      PairShape shape = layer.shape();
      PairPlan chosen = chooser.choose(shape, rules.over(shape));
      List<PairPlan> plans = new ArrayList<>(PairClock.candidates(shape, rules));
      if (!plans.contains(chosen)) {
        plans.add(chosen);
      }
      plans.sort(Comparator.comparingLong(plan -> plan.flops(shape, true)));
      all.add(
          new Layer(
              layer.modules(),
              layer.words(),
              shape,
              chosen.id(),
              why(chooser, chosen, shape, rules),
              plans.stream().map(plan -> candidate(plan, shape, width, rates, timed)).toList()));
    }
    return new PlanTable(all, joined);
  }

  private static Candidate candidate(
      PairPlan plan, PairShape shape, int width, @Nullable Rates rates, List<Timed> timed) {
    OptionalDouble measured =
        timed.stream()
            .filter(one -> one.shape().equals(shape) && one.plan().equals(plan.id()))
            .mapToDouble(Timed::seconds)
            .findFirst();
    return new Candidate(
        plan.id(),
        plan.flops(shape, true),
        plan.elements(shape, true) * width,
        plan.keptElements(shape) * width,
        plan.scratchElements(shape) * width,
        rates == null
            ? null
            : plan.products(shape, true).stream()
                .mapToDouble(product -> rates.seconds(product, width))
                .sum(),
        measured.isPresent() ? measured.getAsDouble() : null);
  }

  private static String why(
      PlanChooser chooser, PairPlan chosen, PairShape shape, PlanRules rules) {
    double saved =
        100 * (1 - (double) chosen.flops(shape, true) / PairPlan.PLAIN.flops(shape, true));
    String operations =
        chosen.equals(PairPlan.PLAIN)
            ? "it is what PEFT computes"
            : String.format(Locale.ROOT, "%.1f %% fewer operations than PEFT's f1kb1", saved);
    String sampled = shape.samples() ? "; the input's gradient goes on through a part of w" : "";
    return chooser.reason() + ": " + operations + merging(chosen, rules) + sampled;
  }

  private static String merging(PairPlan chosen, PlanRules rules) {
    if (rules.drops()) {
      return "; with dropout nothing is merged into the weight";
    }
    if (!rules.rounds()) {
      return "";
    }
    return chosen.merges()
        ? "; in bf16 the merged weight is rounded, without bias; in tf32 to the nearest"
        : "; in bf16 and tf32 nothing is merged into the weight unasked";
  }
}
