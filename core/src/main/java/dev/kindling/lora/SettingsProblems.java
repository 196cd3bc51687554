package dev.kindling.lora;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** Settings of an adapter that name layers which a model does not have. */
public final class SettingsProblems {
  private SettingsProblems() {}

  /**
   * What is wrong with the settings for this model: names and patterns that match no layer.
   *
   * @return one sentence each, naming near ones; empty if all is well
   */
  public static List<String> of(List<LinearModule> modules, AdapterSettings settings) {
    List<String> problems = new ArrayList<>();
    List<LinearModule> free =
        modules.stream().filter(m -> !AdapterLayout.isSaved(m, settings)).toList();
    if (settings.targets() instanceof TargetModules.Names wanted) {
      for (String name : wanted.names()) {
        if (free.stream().noneMatch(m -> m.isNamed(name))) {
          problems.add(
              "adapter.target-modules: '" + name + "' matches no linear layer; " + choice(free));
        }
      }
    } else if (settings.targets() instanceof TargetModules.Regex regex
        && free.stream().noneMatch(regex::matches)) {
      problems.add(
          "adapter.target-modules: no linear layer's full name matches the regular expression '"
              + regex.pattern()
              + "' from end to end (a list takes plain names, ["
              + regex.pattern()
              + "]); "
              + choice(free)
              + ", for example "
              + free.get(0).name());
    }
    for (String saved : settings.modulesToSave()) {
      if (modules.stream().noneMatch(m -> m.liesIn(saved))) {
        problems.add(
            "adapter.modules-to-save: '" + saved + "' matches no linear layer; " + choice(modules));
      }
    }
    Sampling sampling = settings.sampling();
    if (sampling.any()
        && modules.stream().noneMatch(m -> adapts(m, settings) && sampling.samples(m.name()))) {
      problems.add(
          "sampling.kept: "
              + sampling.kept().keySet()
              + " match no layer with a pair; "
              + choice(modules));
    }
    for (String key : patterns(settings)) {
      if (modules.stream()
          .noneMatch(m -> adapts(m, settings) && LayerPatterns.matches(key, m.name()))) {
        problems.add(
            "adapter.rank-pattern, alpha-pattern: '"
                + key
                + "' matches no layer with a pair; "
                + choice(modules));
      }
    }
    return problems;
  }

  private static Set<String> patterns(AdapterSettings settings) {
    Set<String> keys = new TreeSet<>(settings.patterns().ranks().keySet());
    keys.addAll(settings.patterns().alphas().keySet());
    return keys;
  }

  private static boolean adapts(LinearModule m, AdapterSettings settings) {
    return !AdapterLayout.isSaved(m, settings) && settings.targets().matches(m);
  }

  /** The distinct last components of names, behind which layers of all blocks stand. */
  private static String choice(List<LinearModule> modules) {
    Set<String> seen = new HashSet<>();
    List<String> last = new ArrayList<>();
    for (LinearModule module : modules) {
      String[] parts = module.name().split("\\.", -1);
      String tail = parts[parts.length - 1];
      String name =
          tail.equals("dense") && parts.length > 1 ? parts[parts.length - 2] + ".dense" : tail;
      if (seen.add(name)) {
        last.add(name);
      }
    }
    return "there are " + String.join(", ", last);
  }
}
