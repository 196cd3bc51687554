package dev.kindling.cost;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.StoredType;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Mutable: what micro-batches cost, by walking the model itself on a {@link DryBackend}. */
public final class StepCost {
  private final DryBackend backend;
  private final ModelPlan plan;
  private final Model model;
  private final float[] gradient;
  private final Map<List<Integer>, Cost> known = new HashMap<>();

  /**
   * @param sizes the backend that will compute
   * @param stored the type that each frozen tensor is stored in
   * @param asStored whether frozen matrices stay in it
   * @param recompute whether activations within blocks are computed again rather than kept
   */
  public StepCost(
      Backend sizes,
      ModelPlan plan,
      AdapterLayout layout,
      Map<WeightSlot, StoredType> stored,
      boolean asStored,
      PlanChooser chooser,
      boolean recompute) {
    this.backend = new DryBackend(sizes);
    this.plan = plan;
    this.gradient = new float[layout.elements()];
    this.model =
        plan.build(
            backend,
            FrozenWeights.unplaced(backend, stored, asStored),
            Trainables.unplaced(backend, layout, chooser),
            recompute);
  }

  /** Loss and gradient of {@code rows} rows of {@code tokens} tokens without padding. */
  public Cost of(int rows, int tokens) {
    return known.computeIfAbsent(
        List.of(rows, tokens),
        shape -> {
          model.gradient(full(rows, tokens), gradient);
          return backend.take();
        });
  }

  private TokenBatch full(int rows, int tokens) {
    TokenBatch.Rules rules = plan.rules();
    List<Example> examples = new ArrayList<>();
    for (int row = 0; row < rows; row++) {
      examples.add(new Example(row, new int[tokens], new int[rules.nextToken() ? tokens : 1]));
    }
    return TokenBatch.of(examples, rules);
  }
}
