package dev.kindling.bench.single;

import dev.kindling.cost.PairLayer;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import java.util.List;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.TearDown;

/**
 * Forward and backward of a low-rank pair and what it adapts, as PEFT computes it ({@code f1kb1})
 * and as the planner would.
 */
public class PairStep extends Operation {
  /** The distinct layers of llama-60m and of llama-130m, as in x out. */
  @Param({"512x512", "512x1376", "1376x512", "768x768", "768x2048", "2048x768"})
  String layer = "";

  @Param({"8", "128", "256"})
  int rank;

  @Param({"2048", "16384"})
  int tokens;

  /** A plan's id, or flops for the planner's choice. */
  @Param({"f1kb1", "flops"})
  String plan = "";

  private PairLayer pair;
  private Runnable step;

  @Override
  void open(Workbench bench) {
    String[] sizes = layer.split("x", -1);
    long in = Long.parseLong(sizes[0]);
    long out = Long.parseLong(sizes[1]);
    pair =
        new PairLayer(
            bench.backend(), new PairShape(tokens, in, out, rank), StoredType.F32, Storage.FP32, 0);
    step = pair.steps(List.of(chooser())).get(0);
  }

  private PlanChooser chooser() {
    return plan.equals("flops")
        ? new PlanChooser.FewestFlops()
        : new PlanChooser.Fixed(PairPlan.of(plan).orElseThrow());
  }

  /** Everything but the optimiser. */
  @Benchmark
  public void step() {
    step.run();
  }

  /** Frees what the pair has beside the bench's tensors. */
  @TearDown(Level.Trial)
  public void closePair() {
    pair.close();
  }
}
