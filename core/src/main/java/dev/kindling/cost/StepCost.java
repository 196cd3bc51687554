package dev.kindling.cost;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Halves;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Mutable: what micro-batches cost, by walking the model itself on a {@link DryBackend}. */
public final class StepCost {
  private final DryBackend backend;
  private final ModelPlan plan;
  private final Model model;
  private final float[] gradient;
  private final Map<TokenBatch.Shape, Cost> known = new HashMap<>();

  /**
   * @param sizes the backend that will compute
   * @param stored the type that each frozen tensor is stored in
   * @param storage how frozen matrices are kept
   * @param recompute whether activations within blocks are computed again rather than kept
   */
  public StepCost(
      Backend sizes,
      ModelPlan plan,
      AdapterLayout layout,
      Map<WeightSlot, StoredType> stored,
      Storage storage,
      PlanChooser chooser,
      Halves halves,
      boolean recompute) {
    this.backend = new DryBackend(sizes);
    this.plan = plan;
    this.gradient = new float[layout.elements()];
    FrozenWeights weights = FrozenWeights.unplaced(backend, stored, storage);
    weights.planSampling(backend, plan.linears(), layout);
    this.model =
        plan.build(
            backend, weights, Trainables.unplaced(backend, layout, chooser, halves), recompute);
  }

  /** Loss and gradient of a micro-batch of this shape. */
  public Cost of(TokenBatch.Shape shape) {
    return known.computeIfAbsent(
        shape,
        s -> {
          model.gradient(any(s), gradient);
          return backend.take();
        });
  }

  /** Of every example one token, but for the first of each row, which fills it. */
  private TokenBatch any(TokenBatch.Shape shape) {
    List<List<Example>> rows = new ArrayList<>();
    for (int row = 0; row < shape.rows(); row++) {
      int others = (shape.examples() - row - 1) / shape.rows();
      List<Example> examples = new ArrayList<>(List.of(example(shape.tokens() - others)));
      examples.addAll(Collections.nCopies(others, example(1)));
      rows.add(examples);
    }
    return TokenBatch.packed(rows, plan.rules(), 0);
  }

  private Example example(int tokens) {
    return new Example(0, new int[tokens], new int[plan.rules().nextToken() ? tokens : 1]);
  }
}
