package dev.kindling.job.config;

import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Halves;
import dev.kindling.lora.Initialiser;
import dev.kindling.lora.Initialiser.FromBase;
import dev.kindling.lora.LayerPatterns;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import java.util.List;
import java.util.Optional;

/**
 * The adapter to make, or to continue.
 *
 * @param patterns layers that have a rank or an alpha of their own
 * @param magnitudes whether adapted layers learn the lengths of their rows
 * @param sampling how gradients go on through frozen weights
 * @param initialiser of a new adapter's pairs
 * @param trained halves of pairs that learn
 * @param ranks of each step
 * @param userSet keys under {@code adapter} that the user or the method set, which an imported
 *     folder must agree with
 */
public record Adapter(
    int r,
    double alpha,
    Scaling scaling,
    LayerPatterns patterns,
    boolean magnitudes,
    Sampling sampling,
    double dropout,
    Initialiser initialiser,
    Halves trained,
    Ranks.Use ranks,
    TargetModules targets,
    Optional<List<String>> modulesToSave,
    Optional<String> initFrom,
    List<String> userSet) {
  /** How pairs begin as part of the base: not where a folder brings their values. */
  public Optional<FromBase> fromBase() {
    return initFrom.isPresent() ? Optional.empty() : initialiser.fromBase();
  }

  /** What a PEFT configuration would say of it, on these layers. */
  public AdapterSettings settings(TargetModules on, List<String> saved) {
    return new AdapterSettings(
        r, alpha, scaling, patterns, magnitudes, sampling, dropout, on, saved);
  }

  /** The same with what a folder says of itself. */
  Adapter like(AdapterSettings brought) {
    return new Adapter(
        brought.r(),
        brought.alpha(),
        brought.scaling(),
        brought.patterns(),
        brought.magnitudes(),
        sampling,
        dropout,
        initialiser,
        trained,
        ranks,
        targets,
        modulesToSave,
        initFrom,
        userSet);
  }
}
