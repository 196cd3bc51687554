package dev.kindling.model;

import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Seeds;
import dev.kindling.tensor.Storage;
import java.util.ArrayList;
import java.util.List;

/** Random inputs, to compare two ways of writing down one model. */
public final class Probe {
  private static final int ROWS = 4;
  private static final int MOST_TOKENS = 24;

  private Probe() {}

  /**
   * What a model makes of them.
   *
   * @param storage how the base is kept
   * @param layout of an adapter
   * @param trainables its values
   * @return logits, one behind another
   */
  public static float[] logits(
      Backend backend,
      HfFolder base,
      Storage storage,
      ModelPlan plan,
      AdapterLayout layout,
      float[] trainables) {
    List<WeightSlot> slots = plan.weights(layout);
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, storage);
    try {
      base.stream(slots, loader::accept);
    } catch (RuntimeException e) {
      loader.abandon();
      throw e;
    }
    try (FrozenWeights weights = loader.finish();
        Model model = plan.build(backend, weights, layout, false)) {
      model.load(trainables);
      model.evaluate(TokenBatch.of(rows(plan), plan.rules()));
      return model.logits();
    }
  }

  private static List<Example> rows(ModelPlan plan) {
    int tokens = Math.min(MOST_TOKENS, plan.rules().maxTokens());
    List<Example> rows = new ArrayList<>();
    for (int row = 0; row < ROWS; row++) {
      int[] ids = new int[tokens];
      for (int t = 0; t < tokens; t++) {
        long draw = Seeds.of(row, "probe", t);
        ids[t] = (int) Long.remainderUnsigned(draw, plan.vocabulary());
      }
      rows.add(new Example(row, ids, plan.predictsTokens() ? ids : new int[] {0}));
    }
    return rows;
  }
}
