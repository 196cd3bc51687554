package dev.kindling.cost;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Halves;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.LinearModule.Kind;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.plan.PairShape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Layers of a model whose pairs have the same sizes, so that one plan serves them all.
 *
 * @param modules full names
 */
public record LayerShape(PairShape shape, List<String> modules) {
  /**
   * Of a step of {@code rows} rows of {@code tokens} tokens; what a classifier reads of its last
   * block is one each.
   *
   * @param halves of the pairs that learn
   */
  public static List<LayerShape> of(
      List<LinearModule> modules, AdapterLayout layout, Halves halves, int rows, int tokens) {
    Map<PairShape, List<String>> distinct = new LinkedHashMap<>();
    for (LinearModule m : modules) {
      Optional<Parameter> a = layout.find(m.name(), Role.A);
      if (m.kind() == Kind.EMBEDDING || a.isEmpty()) {
        continue;
      }
      boolean once = m.kind() == Kind.HEAD || m.kind() == Kind.SUMMARY;
      long n = once ? rows : (long) rows * tokens;
      PairShape shape = shape(m, layout, halves, n, a.get().rank());
      distinct.computeIfAbsent(shape, s -> new ArrayList<>()).add(m.name());
    }
    List<LayerShape> layers = new ArrayList<>();
    distinct.forEach((shape, names) -> layers.add(new LayerShape(shape, List.copyOf(names))));
    return layers;
  }

  private static PairShape shape(
      LinearModule m, AdapterLayout layout, Halves halves, long n, int rank) {
    if (layout.find(m.name(), Role.SELECTION).isEmpty()) {
      return new PairShape(n, m.in(), m.out(), rank, halves);
    }
    Sampling sampling = layout.settings().sampling();
    int kept = sampling.kept(m.name(), m.out());
    int exact = layout.settings().exact(m);
    return new PairShape(n, m.in(), m.out(), rank, kept, exact, halves);
  }

  /** The last words of the names, each once: {@code query, key, value}. */
  public String words() {
    return String.join(
        ", ",
        modules.stream()
            .map(name -> name.substring(name.lastIndexOf('.') + 1))
            .distinct()
            .toList());
  }
}
