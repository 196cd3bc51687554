package dev.kindling.job.config;

import dev.kindling.lora.Halves;
import dev.kindling.lora.Initialiser;
import dev.kindling.lora.LayerPatterns;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Reads {@code adapter}.
 *
 * @param in told of every problem
 */
record AdapterReader(ConfigSource source, ConfigReader in) {
  private static final String RANKS = "rank-pattern";
  private static final String ALPHAS = "alpha-pattern";

  Adapter read() {
    List<String> set = new ArrayList<>();
    for (String key :
        List.of(
            "r",
            "alpha",
            "scaling",
            RANKS,
            ALPHAS,
            "magnitudes",
            "target-modules",
            "modules-to-save",
            "dropout")) {
      if (source.chosen().hasPath("adapter." + key)) {
        set.add(key);
      }
    }
    Map<String, Double> kept = kept();
    int r = rank(kept.isEmpty());
    return new Adapter(
        r,
        in.number("adapter.alpha", v -> v > 0, "a number above 0"),
        in.choice("adapter.scaling", Scaling.class),
        patterns(),
        in.flag("adapter.magnitudes"),
        new Sampling(
            kept,
            r,
            in.count("sampling.every-steps"),
            in.choice("sampling.score", Score.class) == Score.GRADIENT),
        in.number("adapter.dropout", v -> v >= 0 && v < 1, "a number from 0 to below 1"),
        in.choice("adapter.initialiser", Initialiser.class),
        in.choice("adapter.train", Halves.class),
        in.choice("adapter.ranks", Ranks.Use.class),
        targets(),
        in.has("adapter.modules-to-save")
            ? Optional.of(names("adapter.modules-to-save"))
            : Optional.empty(),
        in.string("adapter.init-from"),
        set);
  }

  /** By what features are chosen. */
  private enum Score {
    GRADIENT,
    WEIGHT
  }

  /** Shares below 1: those of 1 say nothing. */
  private Map<String, Double> kept() {
    Map<String, Double> kept =
        in.table("sampling.kept", v -> v > 0 && v <= 1, "numbers above 0, at most 1");
    kept.values().removeIf(share -> share == 1);
    return kept;
  }

  /** Of pairs that learn: beside sampled gradients a share of the ranks, as many being exact. */
  private int rank(boolean all) {
    int r = in.count("adapter.r");
    double share =
        in.number("sampling.rank-share", v -> v > 0 && v <= 1, "a number above 0, at most 1");
    return all ? r : (int) Math.max(1, Math.round(r * share));
  }

  private LayerPatterns patterns() {
    Map<String, Integer> ranks = new TreeMap<>();
    in.table("adapter." + RANKS, v -> v >= 1 && v == Math.rint(v), "whole numbers of at least 1")
        .forEach((key, value) -> ranks.put(key, value.intValue()));
    Map<String, Double> alphas = in.table("adapter." + ALPHAS, v -> v > 0, "numbers above 0");
    return new LayerPatterns(ranks, alphas);
  }

  /** A list, or one plain name. */
  private List<String> names(String key) {
    return in.isList(key)
        ? in.strings(key).orElse(List.of())
        : in.string(key).map(List::of).orElse(List.of());
  }

  private TargetModules targets() {
    String key = "adapter.target-modules";
    if (!in.has(key)) {
      return new TargetModules.Blocks();
    }
    if (in.isList(key)) {
      List<String> names = in.strings(key).orElse(List.of());
      if (names.isEmpty()) {
        in.problem(key + " is an empty list: name at least one layer");
      }
      return new TargetModules.Names(names);
    }
    String text = in.string(key).orElse("");
    try {
      return text.equals("all-linear")
          ? new TargetModules.AllLinear()
          : new TargetModules.Regex(Pattern.compile(text));
    } catch (PatternSyntaxException e) {
      in.problem(
          key + " is no regular expression: " + e.getMessage().lines().findFirst().orElse(""));
      return new TargetModules.Blocks();
    }
  }
}
