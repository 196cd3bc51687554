package dev.kindling.model;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.tensor.Backend;
import java.util.ArrayList;
import java.util.List;

/** A model that could be built: all that its configuration says, without a weight in memory. */
public interface ModelPlan {
  /** Every linear layer in model order, those of the head included. */
  List<LinearModule> linears();

  /** Every frozen tensor that is no linear layer: embeddings and norms. */
  List<WeightSlot> others();

  /** Modules of the head, trained in full unless the user says otherwise. */
  List<String> head();

  /** Token ids lie below this. */
  int vocabulary();

  /** Whether files hold linear weights as [in, out], as GPT-2's Conv1D does. */
  default boolean storesTransposed() {
    return false;
  }

  /** Whether this is a language model, which predicts tokens rather than a class. */
  default boolean predictsTokens() {
    return rules().nextToken();
  }

  /** How sequences are laid out. */
  TokenBatch.Rules rules();

  /** Builds one task's model over shared weights. */
  Model build(Backend backend, FrozenWeights weights, AdapterLayout layout);

  /** The weight table: all that a complete base holds. */
  default List<WeightSlot> weights() {
    return weights(linears());
  }

  /** What must be loaded beside the given trainables: layers trained in full are not frozen. */
  default List<WeightSlot> weights(AdapterLayout layout) {
    return weights(
        linears().stream().filter(m -> layout.find(m.name(), Role.WEIGHT).isEmpty()).toList());
  }

  private List<WeightSlot> weights(List<LinearModule> frozen) {
    List<WeightSlot> slots = new ArrayList<>(others());
    for (LinearModule m : frozen) {
      slots.add(new WeightSlot(m.name() + ".weight", true, storesTransposed(), m.out(), m.in()));
      if (m.bias()) {
        slots.add(new WeightSlot(m.name() + ".bias", false, m.out()));
      }
    }
    return slots;
  }
}
