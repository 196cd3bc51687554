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

  /** How sequences are laid out. */
  TokenBatch.Rules rules();

  /** Builds one task's model over shared weights. */
  Model build(Backend backend, FrozenWeights weights, AdapterLayout layout);

  /** The weight table: what must be loaded for a given set of trainables. */
  default List<WeightSlot> weights(AdapterLayout layout) {
    List<WeightSlot> slots = new ArrayList<>(others());
    for (LinearModule m : linears()) {
      if (layout.find(m.name(), Role.WEIGHT).isEmpty()) {
        slots.add(new WeightSlot(m.name() + ".weight", true, m.out(), m.in()));
        if (m.bias()) {
          slots.add(new WeightSlot(m.name() + ".bias", false, m.out()));
        }
      }
    }
    return slots;
  }
}
