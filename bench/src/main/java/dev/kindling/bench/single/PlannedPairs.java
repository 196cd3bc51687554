package dev.kindling.bench.single;

import dev.kindling.cost.PairLayer;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * What the planner's choice saves at 16,384 tokens, of the time and of the operations of PEFT's
 * order of products, for the distinct layers of llama-60m, -130m and -250m.
 */
final class PlannedPairs {
  private static final int TOKENS = 16_384;
  private static final int THREADS = 2;

  private PlannedPairs() {}

  /**
   * Prints a table.
   *
   * @param only lines that begin so: {@code 512}, {@code "512 → 1376 | 128"}
   */
  static void print(String only) {
    System.out.println(
        "| layer | r | precision | plan | f1kb1, ms | plan, ms | saves | quartiles | operations |"
            + " share | others |");
    System.out.println("|---|---|---|---|---|---|---|---|---|---|---|");
    for (String precision : List.of("fp32", "bf16")) {
      for (PairShape shape : shapes()) {
        String start = start(precision, shape);
        if (start.startsWith(only)) {
          System.out.printf("| %s | %s |%n", start, found(precision, shape));
        }
      }
    }
  }

  private static String start(String precision, PairShape shape) {
    return "%d → %d | %d | %s".formatted(shape.in(), shape.out(), shape.rank(), precision);
  }

  private static String found(String precision, PairShape shape) {
    PlanChooser planner = new PlanChooser.FewestFlops();
    PairPlan plan = planner.choose(shape, new PlanRules(false, precision.equals("bf16")));
    if (plan.equals(PairPlan.PLAIN)) {
      return plan + " | the same";
    }
    try (Workbench bench = new Workbench("onednn-" + precision, THREADS);
        PairLayer pair = new PairLayer(bench.backend(), shape, StoredType.F32, Storage.FP32, 0)) {
      List<Runnable> steps = pair.steps(List.of(new PlanChooser.Fixed(PairPlan.PLAIN), planner));
      InTurn found = InTurn.of(steps.get(0), steps.get(1));
      double predicted = 1 - plan.flops(shape, true) / (double) PairPlan.PLAIN.flops(shape, true);
      double saved = 1 - found.ratio();
      return String.format(
          Locale.ROOT,
          "%s | %.1f | %.1f | %.1f %% | %.1f–%.1f %% | %.1f %% | %.0f %% | %.2f",
          plan,
          found.firstMs(),
          found.secondMs(),
          100 * saved,
          100 * (1 - found.high()),
          100 * (1 - found.low()),
          100 * predicted,
          100 * saved / predicted,
          found.othersCores());
    }
  }

  private static Set<PairShape> shapes() {
    Set<PairShape> shapes = new LinkedHashSet<>();
    shapes.addAll(layers(512, 1376, 8, 128, 256));
    shapes.addAll(layers(768, 2048, 8, 128));
    shapes.addAll(layers(768, 2560, 8, 128));
    return shapes;
  }

  /** Square, to the intermediate size, and back. */
  private static List<PairShape> layers(int hidden, int intermediate, int... ranks) {
    List<PairShape> layers = new ArrayList<>();
    for (int rank : ranks) {
      layers.add(new PairShape(TOKENS, hidden, hidden, rank));
      layers.add(new PairShape(TOKENS, hidden, intermediate, rank));
      layers.add(new PairShape(TOKENS, intermediate, hidden, rank));
    }
    return layers;
  }
}
