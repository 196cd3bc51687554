package dev.kindling.job.broadcast;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.StoredType;
import java.util.Map;

/**
 * What an executor's tensors will occupy, laid out but not allocated: in bytes, and all tasks that
 * run at once together.
 *
 * @param tasks that run at once
 * @param rows of a micro-batch
 * @param tokens of its longest row
 * @param base frozen weights, once
 * @param packs what is made of them for products, once
 * @param activations that last from forward to backward
 * @param adapters trainables and their gradients
 * @param scratch everything else that a step touches
 */
public record MemoryPlan(
    int tasks,
    int rows,
    int tokens,
    long base,
    long packs,
    long activations,
    long adapters,
    long scratch) {
  /**
   * Plans a run.
   *
   * @param stored the type that each of the base's tensors is stored in
   * @param tokens of the longest row that is trained on
   * @param evaluated tokens of the longest row that is evaluated; 0 if none is
   */
  public static MemoryPlan of(
      ModelSpec spec,
      Map<WeightSlot, StoredType> stored,
      int tasks,
      int rows,
      int tokens,
      int evaluated) {
    ModelPlan plan = spec.plan();
    AdapterLayout layout = spec.layout(plan);
    try (Backend backend = spec.compute().open()) {
      FrozenWeights weights = FrozenWeights.unplaced(backend, stored, spec.asStored());
      Trainables unplaced = Trainables.unplaced(backend, layout, spec.plans());
      Model model = plan.build(backend, weights, unplaced, spec.recompute()); // nothing to close
      Arena.Size step = model.stepBytes(rows, tokens, true);
      Arena.Size evaluation = model.stepBytes(rows, Math.max(1, evaluated), false);
      long scratch = Math.max(step.scratch(), evaluation.total() - step.activations());
      return new MemoryPlan(
          tasks,
          rows,
          tokens,
          weights.bytes() - weights.packedBytes(),
          weights.packedBytes(),
          tasks * step.activations(),
          tasks * unplaced.bytes(),
          tasks * (scratch + weights.scratchBytes()));
    }
  }

  /** All of it. */
  public long total() {
    return base + packs + activations + adapters + scratch;
  }
}
