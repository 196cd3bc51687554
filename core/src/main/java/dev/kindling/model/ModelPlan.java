package dev.kindling.model;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.checkpoint.WeightSlot.Use;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.LinearModule.Kind;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Backend;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A model that could be built: all that its configuration says, without a weight in memory. */
public interface ModelPlan {
  /** Every module that can be adapted, in model order, those of the head included. */
  List<LinearModule> linears();

  /** Every frozen tensor that belongs to none of them: norms, tables that cannot be adapted. */
  List<WeightSlot> others();

  /** Names of the modules that read the same input, where there are several; in model order. */
  default List<List<String>> sharedInputs() {
    return List.of();
  }

  /** Adapted modules whose frozen weight another module reads, too. */
  default List<String> sharedWeights(AdapterLayout layout) {
    List<LinearModule> frozen =
        linears().stream().filter(m -> layout.find(m.name(), Role.WEIGHT).isEmpty()).toList();
    return frozen.stream()
        .filter(m -> layout.adapts(m.name()))
        .filter(m -> frozen.stream().anyMatch(o -> !o.equals(m) && o.weight().equals(m.weight())))
        .map(LinearModule::name)
        .toList();
  }

  /**
   * Modules whose weight cannot be changed in a file, for another one reads it too and is to stay:
   * a head that is trained in full beside a tied table is given a weight of its own instead.
   */
  default List<String> tiedWeights(AdapterLayout layout) {
    return linears().stream()
        .filter(m -> layout.adapts(m.name()) || layout.find(m.name(), Role.WEIGHT).isPresent())
        .filter(m -> !separates(m, layout))
        .filter(
            m ->
                linears().stream()
                    .anyMatch(
                        o ->
                            !o.equals(m) && o.weight().equals(m.weight()) && !separates(o, layout)))
        .map(LinearModule::name)
        .toList();
  }

  private static boolean separates(LinearModule m, AdapterLayout layout) {
    return !m.weight().equals(m.name() + ".weight")
        && layout.find(m.name(), Role.WEIGHT).isPresent();
  }

  /** Modules of the head, trained in full unless the user says otherwise. */
  List<String> head();

  /** Token ids lie below this. */
  int vocabulary();

  /** Whether files hold weights of blocks as [in, out], as GPT-2's Conv1D does. */
  default boolean storesTransposed() {
    return linears().stream().anyMatch(LinearModule::turned);
  }

  /** Whether this is a language model, which predicts tokens rather than a class. */
  default boolean predictsTokens() {
    return rules().nextToken();
  }

  /** How sequences are laid out. */
  TokenBatch.Rules rules();

  /**
   * Builds one task's model over shared weights.
   *
   * @param trainables the model's own from here on
   * @param recompute whether activations within blocks are computed again rather than kept
   */
  Model build(Backend backend, FrozenWeights weights, Trainables trainables, boolean recompute);

  /** Builds one task's model with trainables of its own. */
  default Model build(
      Backend backend, FrozenWeights weights, AdapterLayout layout, boolean recompute) {
    return build(backend, weights, new Trainables(backend, layout), recompute);
  }

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
    Map<String, WeightSlot> slots = new LinkedHashMap<>();
    others().forEach(slot -> slots.put(slot.name(), slot));
    for (LinearModule m : frozen) {
      boolean head = m.kind() == Kind.VOCABULARY; // a tied one's is the embedding's too
      Use use = head ? Use.HEAD : m.block() ? Use.BLOCK : Use.MATRIX;
      WeightSlot slot = new WeightSlot(m.weight(), use, m.turned(), m.weightShape());
      if (head || !slots.containsKey(m.weight())) {
        slots.put(m.weight(), slot);
      }
      if (m.bias()) {
        slots.put(m.name() + ".bias", new WeightSlot(m.name() + ".bias", false, m.out()));
      }
    }
    return List.copyOf(slots.values());
  }
}
