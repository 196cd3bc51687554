package dev.kindling.bench.single;

import dev.kindling.cost.PairLayer;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.onednn.InstructionSet;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.DoubleStream;

/**
 * What the planner's choice saves of the time and of the operations of PEFT's order of products: at
 * 16,384 tokens for the distinct layers of llama-60m, -130m and -250m, or around the tokens from
 * which a merged weight has fewer operations, in·out / (in + out), for some of them.
 */
final class PlannedPairs {
  private static final int TOKENS = 16_384;

  private PlannedPairs() {}

  /**
   * Prints a table.
   *
   * @param shapes its lines
   * @param threads of each product
   * @param only lines that begin so: {@code 512}, {@code "512 → 1376 | 128"}
   */
  static void print(Set<PairShape> shapes, int threads, String only) {
    System.out.println(
        "| layer | r | tokens | precision | plan | f1kb1, ms | plan, ms | saves | quartiles |"
            + " operations | share | others |");
    System.out.println("|---|---|---|---|---|---|---|---|---|---|---|---|");
    List<String> precisions =
        InstructionSet.multipliesBf16() ? List.of("fp32", "bf16") : List.of("fp32");
    for (String precision : precisions) {
      for (PairShape shape : shapes) {
        String start = start(precision, shape);
        if (start.startsWith(only)) {
          System.out.printf("| %s | %s |%n", start, found(precision, shape, threads));
        }
      }
    }
  }

  private static String start(String precision, PairShape shape) {
    return "%d → %d | %d | %d | %s"
        .formatted(shape.in(), shape.out(), shape.rank(), shape.tokens(), precision);
  }

  private static String found(String precision, PairShape shape, int threads) {
    PlanChooser planner = new PlanChooser.FewestFlops();
    PairPlan plan = planner.choose(shape, new PlanRules(false, precision.equals("bf16")));
    if (plan.equals(PairPlan.PLAIN)) {
      return plan + " | the same";
    }
    try (Workbench bench = new Workbench("onednn-" + precision, threads);
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

  /** Layers of the three models at 16,384 tokens. */
  static Set<PairShape> atManyTokens() {
    Set<PairShape> shapes = new LinkedHashSet<>();
    shapes.addAll(layers(512, 1376, 8, 128, 256));
    shapes.addAll(layers(768, 2048, 8, 128));
    shapes.addAll(layers(768, 2560, 8, 128));
    return shapes;
  }

  /** Layers of llama-60m and gpt2-124m at 1 to 4 times as many tokens as make a merge worth it. */
  static Set<PairShape> atTheCrossover() {
    Set<PairShape> shapes = new LinkedHashSet<>();
    for (PairShape layer : layers(512, 1376, 8, 128)) {
      shapes.addAll(around(layer));
    }
    for (PairShape layer : layers(768, 3072, 8)) {
      shapes.addAll(around(layer));
    }
    return shapes;
  }

  private static List<PairShape> around(PairShape layer) {
    double crossover = (double) layer.in() * layer.out() / (layer.in() + layer.out());
    return DoubleStream.of(1.05, 1.5, 2, 4)
        .mapToObj(times -> layer.over(Math.round(times * crossover)))
        .toList();
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
