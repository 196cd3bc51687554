package dev.kindling.lora;

import java.io.Serializable;
import java.util.List;

/**
 * What a PEFT {@code adapter_config.json} says of an adapter.
 *
 * @param r rank, at least 1
 * @param alpha the branch is scaled by alpha / r, or as {@code scaling} says
 * @param scaling how
 * @param dropout share of the branch's inputs dropped in training, in [0, 1)
 * @param targets layers that get a pair
 * @param modulesToSave names of modules trained in full
 */
public record AdapterSettings(
    int r,
    double alpha,
    Scaling scaling,
    double dropout,
    TargetModules targets,
    List<String> modulesToSave)
    implements Serializable {
  /** With the standard scale. */
  public AdapterSettings(
      int r, double alpha, double dropout, TargetModules targets, List<String> modulesToSave) {
    this(r, alpha, Scaling.STANDARD, dropout, targets, modulesToSave);
  }

  public AdapterSettings {
    if (r < 1 || !(alpha > 0) || !(dropout >= 0 && dropout < 1)) {
      throw new IllegalArgumentException("r %d, alpha %s, dropout %s".formatted(r, alpha, dropout));
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** The same for other layers. */
  public AdapterSettings on(TargetModules other, List<String> saved) {
    return new AdapterSettings(r, alpha, scaling, dropout, other, saved);
  }

  /** s. */
  public double scale() {
    return scaling.scale(alpha, r);
  }
}
