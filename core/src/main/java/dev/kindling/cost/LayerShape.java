package dev.kindling.cost;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.LinearModule.Kind;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.plan.PairShape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Layers of a model whose pairs have the same sizes, so that one plan serves them all.
 *
 * @param modules full names
 */
public record LayerShape(PairShape shape, List<String> modules) {
  /**
   * Of a step of {@code rows} rows of {@code tokens} tokens; what a classifier reads of its last
   * block is one each.
   */
  public static List<LayerShape> of(
      List<LinearModule> modules, AdapterLayout layout, int rows, int tokens) {
    Map<PairShape, List<String>> distinct = new LinkedHashMap<>();
    for (LinearModule m : modules) {
      if (m.kind() == Kind.EMBEDDING || layout.find(m.name(), Role.A).isEmpty()) {
        continue;
      }
      boolean once = m.kind() == Kind.HEAD || m.kind() == Kind.SUMMARY;
      long n = once ? rows : (long) rows * tokens;
      PairShape shape = new PairShape(n, m.in(), m.out(), layout.settings().r());
      distinct.computeIfAbsent(shape, s -> new ArrayList<>()).add(m.name());
    }
    List<LayerShape> layers = new ArrayList<>();
    distinct.forEach((shape, names) -> layers.add(new LayerShape(shape, List.copyOf(names))));
    return layers;
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
