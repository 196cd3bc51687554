package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.Prefix;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.Selection;
import dev.kindling.optim.Group;
import dev.kindling.optim.Optimizer;
import dev.kindling.optim.OptimizerSettings;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Mutable: how a mean gradient changes the trainables: clipped by its global norm, then by the
 * optimiser at the step's learning rate.
 */
public final class Update {
  /** Added to the norm before dividing by it, as PyTorch's clip_grad_norm_. */
  private static final double CLIP_EPSILON = 1e-6;

  private final Optimizer optimizer;
  private final OptimizerSettings settings;
  private final double maxGradNorm;
  private final AdapterLayout layout;
  private final Learners learners;
  private final Merges merges;
  private final Ranks ranks;

  /** Of each rank, how often the steps before {@link #counted} have moved it. */
  private final long[] taken;

  private long counted;

  /**
   * @param maxGradNorm 0 for no clipping
   * @param layout of the trainables
   * @param learners neither gradient nor decay moves the others
   * @param merges where pairs begin anew
   * @param ranks of each step
   */
  public Update(
      OptimizerSettings settings,
      double maxGradNorm,
      AdapterLayout layout,
      Learners learners,
      Merges merges,
      Ranks ranks) {
    this.optimizer = Optimizer.of(settings, layout.elements());
    this.settings = settings;
    this.maxGradNorm = maxGradNorm;
    this.layout = layout;
    this.learners = learners;
    this.merges = merges;
    this.ranks = ranks;
    this.taken = new long[layout.settings().r()];
  }

  /** All ranks in every step, and no merges. */
  public Update(
      OptimizerSettings settings, double maxGradNorm, AdapterLayout layout, Learners learners) {
    this(
        settings,
        maxGradNorm,
        layout,
        learners,
        Merges.NONE,
        new Ranks(Ranks.Use.FIXED, layout.settings().r(), 0));
  }

  /** What a step (from 0) uses of the pairs. */
  public Prefix prefix(long step) {
    return Prefix.of(layout, ranks.active(step));
  }

  /**
   * A function of the step: a rank's moments know the steps that it learned in, and their bias is
   * corrected for so many.
   */
  private List<Group> groups(long step) {
    long since = merges.knownSince(step);
    if (counted > step || counted < since) {
      Arrays.fill(taken, 0);
      counted = since;
    }
    for (; counted < step; counted++) {
      for (int k = ranks.learnsFrom(counted); k < ranks.active(counted); k++) {
        taken[k]++;
      }
    }
    long[] now = taken.clone();
    Arrays.fill(now, 0, ranks.learnsFrom(step), -1);
    Arrays.fill(now, ranks.active(step), now.length, -1);
    return learners.groups(layout, step, now);
  }

  /**
   * What an update reports.
   *
   * @param learningRate of this step
   * @param gradNorm of the mean gradient over all that moves, before clipping
   */
  public record Taken(double learningRate, double gradNorm) {}

  /**
   * Changes the trainables in place.
   *
   * @param gradient of the mean loss; spoilt
   * @param step from 0
   */
  public Taken apply(float[] trainables, float[] gradient, long step) {
    List<Group> groups = groups(step);
    double squares = 0;
    for (Group group : groups) {
      squares = group.addSquares(squares, gradient);
    }
    double norm = Math.sqrt(squares);
    if (maxGradNorm > 0) {
      float factor = (float) Math.min(1, maxGradNorm / (norm + CLIP_EPSILON));
      new Group(0, gradient.length, 1, 0)
          .runs(
              (from, to) -> {
                for (int i = from; i < to; i++) {
                  gradient[i] *= factor;
                }
              });
    }
    double rate = settings.learningRate() * settings.schedule().factor(step);
    optimizer.step(trainables, gradient, rate, groups);
    int every = layout.settings().sampling().every();
    Selection.next(layout, trainables, gradient, (step + 1) % every == 0);
    return new Taken(rate, norm);
  }

  /** Whether pairs begin anew after so many steps. */
  public boolean links(long done) {
    return merges.links().cutAfter(done);
  }

  /**
   * Where pairs begin anew, adds them to the base, draws others and forgets what the optimiser knew
   * of them.
   *
   * @param done steps
   * @return what was added, if they do
   */
  public Optional<BaseChange> link(float[] trainables, long done) {
    if (!links(done)) {
      return Optional.empty();
    }
    BaseChange change = BaseChange.of(layout, trainables);
    merges.draw(layout, trainables, done);
    merges.prune(layout, optimizer.state(), done);
    return Optional.of(change);
  }

  /** The optimiser's state by name, live: vectors of the trainables' length. */
  public Map<String, float[]> state() {
    return new TreeMap<>(optimizer.state());
  }

  /** A copy of the optimiser's state: its vectors behind each other, by name. */
  public float[] flatState() {
    float[] all = new float[Math.toIntExact(bytes() / Float.BYTES)];
    int at = 0;
    for (float[] values : state().values()) {
      System.arraycopy(values, 0, all, at, values.length);
      at += values.length;
    }
    return all;
  }

  /** Overwrites the optimiser's state. */
  public void restore(float[] flatState) {
    int at = 0;
    for (float[] values : state().values()) {
      System.arraycopy(flatState, at, values, 0, values.length);
      at += values.length;
    }
  }

  /** Bytes of the optimiser's state. */
  public long bytes() {
    return optimizer.bytes();
  }
}
