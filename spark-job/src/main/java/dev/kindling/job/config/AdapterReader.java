package dev.kindling.job.config;

import dev.kindling.job.config.JobConfig.Adapter;
import dev.kindling.lora.Initialiser;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import dev.kindling.train.Learners.Halves;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Reads {@code adapter}.
 *
 * @param in told of every problem
 */
record AdapterReader(ConfigSource source, ConfigReader in) {
  Adapter read() {
    List<String> set = new ArrayList<>();
    for (String key :
        List.of("r", "alpha", "scaling", "target-modules", "modules-to-save", "dropout")) {
      if (source.chosen().hasPath("adapter." + key)) {
        set.add(key);
      }
    }
    return new Adapter(
        in.count("adapter.r"),
        in.number("adapter.alpha", v -> v > 0, "a number above 0"),
        in.choice("adapter.scaling", Scaling.class),
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
