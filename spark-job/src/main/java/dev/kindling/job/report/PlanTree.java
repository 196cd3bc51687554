package dev.kindling.job.report;

import static dev.kindling.job.report.Amounts.bytes;
import static dev.kindling.job.report.Amounts.time;

import dev.kindling.cost.JoinedPairs;
import dev.kindling.cost.Rates;
import dev.kindling.cost.Work.Kind;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.config.Axes;
import dev.kindling.job.explain.Comparison;
import dev.kindling.job.explain.Comparison.Row;
import dev.kindling.job.explain.PlanTable;
import dev.kindling.job.explain.PlanTable.Candidate;
import dev.kindling.job.explain.PlanTable.Layer;
import dev.kindling.job.explain.Prediction;
import dev.kindling.lora.plan.PairPlan;
import java.math.BigDecimal;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Mutable: writes a prediction as a tree for people, in the manner of Spark's EXPLAIN. */
public final class PlanTree {
  /** Candidates of a layer that are shown: the chosen one, plain and the cheapest of the others. */
  private static final int SHOWN = 5;

  private final StringBuilder text = new StringBuilder();

  private PlanTree() {}

  /** The tree, and what was measured under it if the run is finished. */
  public static String of(Axes method, Prediction p, Optional<Comparison> measured) {
    PlanTree tree = new PlanTree();
    tree.write(method, p);
    measured.ifPresent(tree::write);
    return tree.text.toString();
  }

  /** A line for each distinct layer: what a run says before it begins. */
  public static String brief(PlanTable plans) {
    PlanTree tree = new PlanTree();
    for (Layer layer : plans.layers()) {
      tree.line("  %-10s %s: %s, %s", "plan", sizes(layer), layer.plan(), layer.why());
    }
    return tree.text.toString();
  }

  private static String sizes(Layer layer) {
    var shape = layer.shape();
    return String.format(
        Locale.ROOT,
        "%d × %s [%d → %d], r = %d, %,d tokens",
        layer.modules().size(),
        layer.words(),
        shape.in(),
        shape.out(),
        shape.rank(),
        shape.tokens());
  }

  private void write(Axes method, Prediction p) {
    Prediction.Run run = p.run();
    line("== Plan of the run ==");
    Prediction.@Nullable Seconds seconds = p.seconds();
    line(
        "Train: %,d steps of %,d examples, %s",
        run.steps(),
        run.batch(),
        seconds == null
            ? "without times: no GPU can be used here to take them on"
            : "about " + time(seconds.run()) + " for all of them");
    method(method);
    line(
        "+- Data: %,d examples; a step has %,.0f tokens, and %.1f %% of what it computes is padding"
            + " (first %d steps)",
        run.examples(), run.tokensPerStep(), 100 * run.padding(), run.sampledSteps());
    line(
        "+- Step%s",
        seconds == null
            ? ""
            : String.format(
                Locale.ROOT,
                ": %s = compute %s + exchange %s",
                time(seconds.step()),
                time(seconds.compute()),
                time(seconds.exchange())));
    line(
        ":  +- Compute: %,.2f TFLOP, %s read and written, in %d micro-batches on %d tasks of %d"
            + " executor(s)",
        p.work().flops() / 1e12,
        bytes(p.work().bytes()),
        run.microBatches(),
        run.tasks(),
        run.executors());
    if (p.rates() != null) {
      kinds(p, p.rates());
    }
    line(
        ":  +- Exchange: %s down, %s up",
        bytes(p.exchange().bytesDown()), bytes(p.exchange().bytesUp()));
    memory(p.memory(), p.optimizerBytes());
    line("+- Sizes that are enough");
    line(":  +- one JVM     %s", p.submit().local());
    line(":  +- a cluster   %s", p.submit().cluster());
    line("+- Low-rank layers, at the largest micro-batch");
    p.plans().layers().forEach(this::layer);
    p.plans().joined().forEach(this::joined);
  }

  private void method(Axes method) {
    line("+- Method: %s", method.method());
    method
        .axes()
        .forEach(
            (axis, settings) ->
                line(
                    ":  +- %-12s %s",
                    axis,
                    settings.entrySet().stream()
                        .map(one -> one.getKey() + " = " + plain(one.getValue()))
                        .collect(Collectors.joining(", "))));
  }

  /** 0.0002 rather than 2.0E-4. */
  private static String plain(Object value) {
    return value instanceof Double number
        ? BigDecimal.valueOf(number).stripTrailingZeros().toPlainString()
        : String.valueOf(value);
  }

  private void kinds(Prediction p, Rates rates) {
    double all = p.work().secondsOfATask().values().stream().mapToDouble(s -> s).sum();
    for (Kind kind : Kind.values()) {
      double seconds = p.work().secondsOfATask().getOrDefault(kind, 0.0);
      String rate =
          switch (kind) {
            case PRODUCT -> gflops(rates.productFlops());
            case ATTENTION -> gflops(rates.attentionFlops());
            case ELEMENTS -> String.format(Locale.ROOT, "%,.1f GB/s", rates.bytes() / 1e9);
          };
      String name =
          switch (kind) {
            case PRODUCT -> "products";
            case ATTENTION -> "attention";
            case ELEMENTS -> "the rest";
          };
      line(":  :  +- %-9s %4.0f %%, at %s a task", name, 100 * seconds / all, rate);
    }
  }

  private void memory(MemoryPlan m, long optimizer) {
    line(
        "+- Memory of an executor: %s for %d task(s) of %d × %,d tokens",
        bytes(m.total()), m.tasks(), m.rows(), m.tokens());
    line(":  +- base        %10s, once", bytes(m.base()));
    line(":  +- packs       %10s, once: matrices arranged for bf16", bytes(m.packs()));
    line(":  +- activations %10s", bytes(m.activations()));
    line(":  +- scratch     %10s", bytes(m.scratch()));
    line(":  +- adapters    %10s, with their gradients", bytes(m.adapters()));
    line(":  +- optimizer   %10s, on the driver's heap", bytes(optimizer));
  }

  private void layer(Layer layer) {
    line("   +- %s: %s", sizes(layer), layer.plan());
    line("   :  %s", layer.why());
    line(
        "   :    %-6s %10s %10s %10s %10s %10s %10s",
        "plan", "GFLOP", "moved", "kept", "scratch", "predicted", "measured");
    int shown = 0;
    for (Candidate one : layer.candidates()) {
      boolean chosen = one.plan().equals(layer.plan());
      if (chosen || one.plan().equals(PairPlan.PLAIN.id()) || shown < SHOWN - 2) {
        candidate(one, chosen);
        shown++;
      }
    }
    int more = layer.candidates().size() - shown;
    if (more > 0) {
      line("   :    and %d more with more operations", more);
    }
  }

  private void joined(JoinedPairs pairs) {
    line(
        "   +- %d × %s read the same input: their %d ranks multiply it together",
        pairs.times(), pairs.words(), pairs.ranks());
  }

  private void candidate(Candidate one, boolean chosen) {
    line(
        "   :  %s %-6s %10.3f %10s %10s %10s %10s %10s",
        chosen ? "*" : " ",
        one.plan(),
        one.flops() / 1e9,
        bytes(one.bytes()),
        bytes(one.keptBytes()),
        bytes(one.scratchBytes()),
        one.predictedSeconds() == null ? "" : time(one.predictedSeconds()),
        one.measuredSeconds() == null ? "" : time(one.measuredSeconds()));
  }

  private void write(Comparison comparison) {
    line("");
    line("== Predicted and measured ==");
    line("  %-32s %12s %12s %9s", "", "predicted", "measured", "ratio");
    for (Row row : comparison.rows()) {
      line(
          "  %-32s %12s %12s %9.2f",
          row.quantity(),
          number(row.predicted(), row.unit()),
          number(row.measured(), row.unit()),
          row.ratio());
    }
  }

  private static String number(double value, String unit) {
    return switch (unit) {
      case "s" -> time(value);
      case "B" -> bytes(value);
      case "%" -> String.format(Locale.ROOT, "%.1f %%", value);
      default -> String.format(Locale.ROOT, "%,.0f", value);
    };
  }

  private static String gflops(double flops) {
    return String.format(Locale.ROOT, "%,.0f GFLOP/s", flops / 1e9);
  }

  private void line(String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values).stripTrailing()).append('\n');
  }
}
