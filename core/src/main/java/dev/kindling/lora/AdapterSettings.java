package dev.kindling.lora;

import java.io.Serializable;
import java.util.List;

/**
 * What a PEFT {@code adapter_config.json} says of an adapter.
 *
 * @param r rank, at least 1
 * @param alpha the branch is scaled by alpha / r, or as {@code scaling} says
 * @param scaling how
 * @param patterns layers that have a rank or an alpha of their own
 * @param magnitudes whether adapted layers learn the lengths of their weights' rows (DoRA)
 * @param sampling how gradients go on through frozen weights, of which PEFT knows nothing
 * @param dropout share of the branch's inputs dropped in training, in [0, 1)
 * @param targets layers that get a pair
 * @param modulesToSave names of modules trained in full
 */
public record AdapterSettings(
    int r,
    double alpha,
    Scaling scaling,
    LayerPatterns patterns,
    boolean magnitudes,
    Sampling sampling,
    double dropout,
    TargetModules targets,
    List<String> modulesToSave)
    implements Serializable {
  /** With the standard scale, all layers alike, without magnitudes. */
  public AdapterSettings(
      int r, double alpha, double dropout, TargetModules targets, List<String> modulesToSave) {
    this(
        r,
        alpha,
        Scaling.STANDARD,
        LayerPatterns.NONE,
        false,
        Sampling.NONE,
        dropout,
        targets,
        modulesToSave);
  }

  public AdapterSettings {
    boolean ranks = r >= 1 && patterns.ranks().values().stream().allMatch(rank -> rank >= 1);
    boolean alphas = alpha > 0 && patterns.alphas().values().stream().allMatch(a -> a > 0);
    if (!ranks || !alphas || !(dropout >= 0 && dropout < 1)) {
      throw new IllegalArgumentException(
          "r %d, alpha %s, %s, dropout %s".formatted(r, alpha, patterns, dropout));
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** The same for other layers. */
  public AdapterSettings on(TargetModules other, List<String> saved) {
    return new AdapterSettings(
        r, alpha, scaling, patterns, magnitudes, sampling, dropout, other, saved);
  }

  /** The same with another dropout. */
  public AdapterSettings dropping(double other) {
    return new AdapterSettings(
        r, alpha, scaling, patterns, magnitudes, sampling, other, targets, modulesToSave);
  }

  /** The same with other gradients through frozen weights. */
  public AdapterSettings sampling(Sampling other) {
    return new AdapterSettings(
        r, alpha, scaling, patterns, magnitudes, other, dropout, targets, modulesToSave);
  }

  /**
   * The same layers at another rank; those with a rank of their own in proportion.
   *
   * @param otherAlpha of that rank; those with an alpha of their own in proportion
   */
  AdapterSettings at(int rank, double otherAlpha) {
    LayerPatterns scaled =
        patterns.with(own -> inProportion(own, rank), own -> own * otherAlpha / alpha);
    return new AdapterSettings(
        rank, otherAlpha, scaling, scaled, magnitudes, sampling, dropout, targets, modulesToSave);
  }

  /** Whether layers with a rank of their own have a whole one in proportion to this. */
  public boolean divides(int rank) {
    return patterns.ranks().values().stream().allMatch(own -> (long) own * rank % r == 0);
  }

  private int inProportion(int own, int rank) {
    long product = (long) own * rank;
    if (product % r != 0) {
      throw new IllegalArgumentException("rank %d of %d for one of %d".formatted(rank, r, own));
    }
    return Math.toIntExact(product / r);
  }

  /** s of layers that no pattern names. */
  public double scale() {
    return scaling.scale(alpha, r);
  }

  /** The rank of a layer. */
  public int r(String module) {
    return LayerPatterns.of(patterns.ranks(), module, r);
  }

  /** Rank of what is exact of a layer's weight, beside a sampled rest: its pair's. */
  public int exact(LinearModule m) {
    int own = LayerPatterns.of(patterns.ranks(), m.name(), sampling.rank());
    return Math.min(own, Math.min(m.in(), m.out()));
  }

  /** The scale of a layer. */
  public double scale(String module) {
    return scaling.scale(LayerPatterns.of(patterns.alphas(), module, alpha), r(module));
  }
}
