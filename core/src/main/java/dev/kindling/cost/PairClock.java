package dev.kindling.cost;

import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Times the orders of a pair's products on real layers: forward and backward in turn, one order
 * after another in each round, so that all see the same neighbours; of the rounds the fastest
 * counts, for noise only ever adds.
 */
public final class PairClock {
  /** Orders with more operations than this many times the fewest are not timed. */
  private static final double HOPELESS = 1.5;

  private static final int ROUNDS = 7;
  private static final int LEAST_ROUNDS = 2;

  /** After so many seconds at one shape no further round begins. */
  private static final double PATIENCE = 3;

  private PairClock() {}

  /**
   * An order that was timed.
   *
   * @param plan id of it
   * @param seconds of a forward and a backward
   */
  public record Timed(PairShape shape, String plan, double seconds) {}

  /** The orders worth timing: of those that form the same products one, and plain always. */
  public static List<PairPlan> candidates(PairShape shape, PlanRules rules) {
    Map<Object, PairPlan> distinct = new LinkedHashMap<>();
    rules
        .over(shape)
        .offered()
        .forEach(plan -> distinct.putIfAbsent(plan.products(shape, true), plan));
    long fewest =
        distinct.values().stream().mapToLong(plan -> plan.flops(shape, true)).min().orElse(0);
    return distinct.values().stream()
        .filter(plan -> plan.equals(PairPlan.PLAIN) || plan.flops(shape, true) <= HOPELESS * fewest)
        .toList();
  }

  /** For each shape the fastest. */
  public static List<Timed> fastest(List<Timed> timed) {
    Map<PairShape, Timed> fastest = new LinkedHashMap<>();
    timed.forEach(one -> fastest.merge(one.shape, one, (a, b) -> a.seconds <= b.seconds ? a : b));
    return List.copyOf(fastest.values());
  }

  /** The table that a run pins: the fastest. */
  public static PlanChooser.Measured table(List<Timed> timed) {
    return new PlanChooser.Measured(
        fastest(timed).stream()
            .map(
                one ->
                    new PlanChooser.Measured.Choice(one.shape, PairPlan.of(one.plan).orElseThrow()))
            .toList());
  }

  /**
   * Times all candidates of a shape. Where the input's gradient goes on through a part of the
   * weight it goes on through all of it here: as much more for every candidate.
   *
   * @param stored the type that the frozen matrix is stored in
   * @param storage how it is kept
   * @param dropout of the pair
   */
  public static List<Timed> time(
      Backend backend,
      PairShape shape,
      PlanRules rules,
      StoredType stored,
      Storage storage,
      double dropout) {
    List<PairPlan> plans = candidates(shape, rules);
    List<PlanChooser> choosers = new ArrayList<>();
    plans.forEach(plan -> choosers.add(new PlanChooser.Fixed(plan)));
    try (PairLayer layer = new PairLayer(backend, shape, stored, storage, dropout)) {
      return clock(plans, layer.steps(choosers), shape);
    }
  }

  private static List<Timed> clock(List<PairPlan> plans, List<Runnable> steps, PairShape shape) {
    steps.forEach(Runnable::run); // compiles
    double[] fastest = new double[steps.size()];
    Arrays.fill(fastest, Double.POSITIVE_INFINITY);
    long begin = System.nanoTime();
    for (int round = 0; round < ROUNDS; round++) {
      if (round >= LEAST_ROUNDS && System.nanoTime() - begin > PATIENCE * 1e9) {
        break;
      }
      for (int i = 0; i < steps.size(); i++) {
        long start = System.nanoTime();
        steps.get(i).run();
        fastest[i] = Math.min(fastest[i], (System.nanoTime() - start) / 1e9);
      }
    }
    List<Timed> timed = new ArrayList<>();
    for (int i = 0; i < plans.size(); i++) {
      timed.add(new Timed(shape, plans.get(i).id(), fastest[i]));
    }
    timed.sort(Comparator.comparingDouble(Timed::seconds));
    return timed;
  }
}
