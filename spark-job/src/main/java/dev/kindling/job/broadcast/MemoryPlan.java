package dev.kindling.job.broadcast;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Prefix;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.StoredType;
import java.util.List;
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
 * @param adapters trainables and their gradients, and what averaging takes
 * @param scratch everything else that a step touches, or that loading does where that is more
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
   * @param trained the largest micro-batches that are trained on, that of the longest rows first
   * @param evaluated the largest ones that are evaluated; none if there are none
   * @param ranks that a step may have of the pairs
   */
  public static MemoryPlan of(
      ModelSpec spec,
      Map<WeightSlot, StoredType> stored,
      int tasks,
      List<TokenBatch.Shape> trained,
      List<TokenBatch.Shape> evaluated,
      List<Integer> ranks) {
    ModelPlan plan = spec.plan();
    AdapterLayout layout = spec.layout(plan);
    try (Backend backend = spec.compute().open()) {
      FrozenWeights weights = FrozenWeights.unplaced(backend, stored, spec.storage());
      weights.planSampling(backend, plan.linears(), layout);
      Trainables unplaced = Trainables.unplaced(backend, layout, spec.plans());
      long activations = 0;
      long step = 0;
      for (int rank : ranks) {
        Trainables some = unplaced.prefix(Prefix.of(layout, rank).narrow());
        Model model = plan.build(backend, weights, some, spec.recompute()); // nothing to close
        for (TokenBatch.Shape shape : trained) {
          Arena.Size size = model.stepBytes(shape, true);
          activations = Math.max(activations, size.activations());
          step = Math.max(step, size.total());
        }
        for (TokenBatch.Shape shape : evaluated) {
          step = Math.max(step, model.stepBytes(shape, false).total());
        }
      }
      long kept = weights.packedBytes() + tasks * (activations + unplaced.bytes());
      long loading = FrozenWeights.loadingBytes(backend, stored, spec.storage());
      return new MemoryPlan(
          tasks,
          trained.get(0).rows(),
          trained.get(0).tokens(),
          weights.bytes() - weights.packedBytes(),
          weights.packedBytes(),
          tasks * activations,
          tasks * unplaced.bytes(),
          Math.max(tasks * (step - activations + weights.scratchBytes()), loading - kept));
    }
  }

  /**
   * With what averaging takes: Deeplearning4j's arrays of a network whose parameters are the
   * trainables, for each task parameters, gradient and updater state, and twice what is broadcast
   * to it, since the last one goes when it is collected.
   *
   * @param trainables how many there are
   * @param optimizer bytes of its state
   */
  public MemoryPlan averaging(long trainables, long optimizer) {
    return withFactors(tasks * (8 * trainables + optimizer) + 2 * (4 * trainables + optimizer));
  }

  /** With so many bytes more beside the adapters: factors of a change of the base. */
  public MemoryPlan withFactors(long bytes) {
    return new MemoryPlan(tasks, rows, tokens, base, packs, activations, adapters + bytes, scratch);
  }

  /** All of it. */
  public long total() {
    return base + packs + activations + adapters + scratch;
  }
}
