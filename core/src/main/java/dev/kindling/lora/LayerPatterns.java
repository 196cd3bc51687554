package dev.kindling.lora;

import java.io.Serializable;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

/**
 * PEFT's rank_pattern and alpha_pattern: layers whose rank or alpha is not that of the others. A
 * key is a layer's name, its last components, or a regular expression for either; of several that
 * match the first counts.
 *
 * @param ranks at least 1, by key
 * @param alphas above 0, by key
 */
public record LayerPatterns(Map<String, Integer> ranks, Map<String, Double> alphas)
    implements Serializable {
  /** All layers alike. */
  public static final LayerPatterns NONE = new LayerPatterns(Map.of(), Map.of());

  public LayerPatterns {
    ranks = Collections.unmodifiableMap(new LinkedHashMap<>(ranks));
    alphas = Collections.unmodifiableMap(new LinkedHashMap<>(alphas));
  }

  /** Whether they say nothing. */
  public boolean isEmpty() {
    return ranks.isEmpty() && alphas.isEmpty();
  }

  /**
   * What a table says of a layer.
   *
   * @param others what holds if it says nothing
   */
  public static <T> T of(Map<String, T> table, String module, T others) {
    return table.entrySet().stream()
        .filter(e -> matches(e.getKey(), module))
        .map(Map.Entry::getValue)
        .findFirst()
        .orElse(others);
  }

  /** Whether a key means a layer, as PEFT matches it: from end to end, or after a dot. */
  public static boolean matches(String key, String module) {
    return Pattern.matches("(?:.*\\.)?(?:" + key + ")", module);
  }

  /** The same with other values. */
  LayerPatterns with(UnaryOperator<Integer> rank, UnaryOperator<Double> alpha) {
    Map<String, Integer> newRanks = new LinkedHashMap<>();
    Map<String, Double> newAlphas = new LinkedHashMap<>();
    ranks.forEach((key, value) -> newRanks.put(key, rank.apply(value)));
    alphas.forEach((key, value) -> newAlphas.put(key, alpha.apply(value)));
    return new LayerPatterns(newRanks, newAlphas);
  }
}
