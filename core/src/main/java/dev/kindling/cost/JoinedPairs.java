package dev.kindling.cost;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.plan.JoinedPlan;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Layers that read the same input, and whose pairs multiply it together, as {@link
 * dev.kindling.nn.SharedInput} does.
 *
 * @param words last words of their names
 * @param ranks of all their pairs, which are the rows of the projections that they share
 * @param times how often a model has such layers
 */
public record JoinedPairs(String words, long ranks, int times) {
  /**
   * Of a model.
   *
   * @param inputs names of the modules that read each input
   * @param layers the distinct low-rank ones
   * @param plans the chosen ones
   */
  public static List<JoinedPairs> of(
      List<List<String>> inputs,
      List<LayerShape> layers,
      AdapterLayout layout,
      Function<PairShape, PairPlan> plans) {
    Map<String, LayerShape> byName = new LinkedHashMap<>();
    layers.forEach(layer -> layer.modules().forEach(name -> byName.put(name, layer)));
    Map<JoinedPairs, Integer> times = new LinkedHashMap<>();
    for (List<String> readers : inputs) {
      List<String> pairs =
          readers.stream()
              .filter(name -> byName.containsKey(name) && !byName.get(name).shape().samples())
              .toList();
      List<PairShape> shapes = pairs.stream().map(name -> byName.get(name).shape()).toList();
      boolean plain = layout.settings().dropout() == 0 && !layout.settings().magnitudes();
      if (plain && JoinedPlan.of(shapes, plans).isPresent()) {
        long ranks = shapes.stream().mapToLong(PairShape::rank).sum();
        String words = new LayerShape(shapes.get(0), pairs).words();
        times.merge(new JoinedPairs(words, ranks, 1), 1, Integer::sum);
      }
    }
    List<JoinedPairs> joined = new ArrayList<>();
    times.forEach((one, count) -> joined.add(new JoinedPairs(one.words, one.ranks, count)));
    return joined;
  }
}
