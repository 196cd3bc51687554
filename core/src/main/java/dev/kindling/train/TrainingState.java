package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.Prefix;
import dev.kindling.optim.OptimizerSettings;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Mutable: what a step changes, and all that the next one depends on. Lives on the driver, which
 * alone commits steps.
 */
public final class TrainingState {
  private final AdapterLayout layout;
  private final float[] trainables;
  private final float[] gradient;
  private final Update update;
  private final Optional<OuterStep> outer;
  private final boolean residuals;
  private final List<BaseChange> changes = new ArrayList<>();
  private int[] exponents;
  private long step;

  /**
   * @param start trainables before the first step; taken over
   * @param maxGradNorm 0 for no clipping
   */
  public TrainingState(
      AdapterLayout layout, float[] start, OptimizerSettings settings, double maxGradNorm) {
    this(
        layout,
        start,
        List.of(),
        new Update(settings, maxGradNorm, layout, Learners.ALL),
        Optional.empty(),
        false);
  }

  /**
   * @param start trainables before the first step; taken over
   * @param changed what has been added to the base for them
   * @param update of each step; where workers take steps of their own, its state is their mean
   * @param outer what is made of an average, if it is not taken as it is
   * @param residuals whether the base takes up what averages of pairs leave out
   */
  public TrainingState(
      AdapterLayout layout,
      float[] start,
      List<BaseChange> changed,
      Update update,
      Optional<OuterStep> outer,
      boolean residuals) {
    this.layout = layout;
    this.residuals = residuals;
    this.changes.addAll(changed);
    this.trainables = start;
    this.gradient = new float[start.length];
    this.update = update;
    this.outer = outer;
    this.exponents = GradientSum.firstExponents(layout);
  }

  /**
   * What a committed step reports.
   *
   * @param step from 1
   * @param loss mean over the batch's targets before the update
   * @param learningRate of this update
   * @param gradNorm of the mean gradient over all that learns, before clipping; where workers take
   *     steps of their own, the mean of theirs, by targets
   * @param tokens of the batch, padding not counted
   * @param cells tokens that were computed, padding included
   * @param ledger {@link dev.kindling.data.Ledger} of the examples that the gradient contains
   */
  public record Committed(
      long step,
      double loss,
      double learningRate,
      double gradNorm,
      long tokens,
      long cells,
      long ledger) {}

  /** Steps committed so far. */
  public long step() {
    return step;
  }

  /** The current trainables; not to be changed by the caller. */
  public float[] trainables() {
    return trainables;
  }

  /** What has been added to the base so far, in order. */
  public List<BaseChange> changes() {
    return List.copyOf(changes);
  }

  /** All that the next step depends on besides step, exponents and changes, live. */
  public Map<String, float[]> tensors() {
    Map<String, float[]> tensors = new TreeMap<>();
    tensors.put("trainables", trainables);
    update.state().forEach((name, values) -> tensors.put("optimizer." + name, values));
    outer.ifPresent(step -> tensors.put("outer.velocity", step.velocity()));
    return tensors;
  }

  /**
   * Goes on after a step that was committed before.
   *
   * @param saved as {@link #tensors} gave them
   * @param earlier changes of the base
   * @throws IllegalArgumentException if they are not of this run; nothing is changed then
   */
  public void restore(
      long committed, int[] savedExponents, Map<String, float[]> saved, List<BaseChange> earlier) {
    Map<String, float[]> own = tensors();
    boolean alike =
        saved.keySet().equals(own.keySet()) && savedExponents.length == exponents.length;
    for (Map.Entry<String, float[]> tensor : own.entrySet()) {
      alike = alike && saved.get(tensor.getKey()).length == tensor.getValue().length;
    }
    for (BaseChange change : earlier) {
      alike = alike && change.factors().length == layout.pairs(change.rank()).elements();
    }
    if (!alike) {
      throw new IllegalArgumentException("the state saved is of other trainables");
    }
    own.forEach((name, to) -> System.arraycopy(saved.get(name), 0, to, 0, to.length));
    exponents = savedExponents.clone();
    changes.clear();
    changes.addAll(earlier);
    step = committed;
  }

  /** Whether every trainable is a number still. */
  public boolean finite() {
    for (float value : trainables) {
      if (!Float.isFinite(value)) {
        return false;
      }
    }
    return true;
  }

  /** Fixed-point exponents for the next step's sums. */
  public int[] exponents() {
    return exponents;
  }

  /** The step must be summed again, with exponents from its own largest values. */
  public void rescale(GradientSum sum) {
    exponents = sum.nextExponents();
  }

  /** What the next step uses of the pairs. */
  public Prefix prefix() {
    return update.prefix(step);
  }

  /**
   * Clips, updates, advances. The sum is of what {@link #prefix} says, and must fit, be finite and
   * have targets.
   */
  public Committed commit(GradientSum sum) {
    Prefix prefix = prefix();
    if (prefix.all()) {
      sum.meanGradient(gradient);
    } else {
      float[] some = new float[prefix.narrow().elements()];
      sum.meanGradient(some);
      prefix.put(some, gradient); // no other part of it is looked at
    }
    Update.Taken taken = update.apply(trainables, gradient, step);
    exponents = sum.nextExponents();
    step++;
    link();
    return committed(step, sum.totals(), taken.learningRate(), taken.gradNorm());
  }

  /** A copy of the optimiser's state, as {@link Update#flatState}. */
  public float[] optimizerState() {
    return update.flatState();
  }

  /**
   * Takes the mean of workers that went on from here by themselves, and advances by their steps.
   * The base is changed by what the mean itself leaves out, whatever an outer step then makes of
   * it.
   *
   * @param workers in their order; each with as many steps, of which each has a target somewhere
   */
  public List<Committed> commit(List<WorkerResult> workers) {
    Average average = Average.of(workers);
    if (residuals && workers.size() > 1) {
      changes.add(Residual.of(layout, workers, average.trainables()));
    }
    outer.ifPresentOrElse(
        o -> o.apply(trainables, average.trainables()),
        () -> System.arraycopy(average.trainables(), 0, trainables, 0, trainables.length));
    update.restore(average.state());
    List<Committed> all = new ArrayList<>();
    for (int s = 0; s < workers.get(0).steps().size(); s++) {
      Totals totals = new Totals();
      double norms = 0;
      for (WorkerResult worker : workers) {
        LocalStep one = worker.steps().get(s);
        totals.add(one.totals());
        norms += one.gradNorm() * one.totals().targets();
      }
      step++;
      double rate = workers.get(0).steps().get(s).learningRate();
      all.add(committed(step, totals, rate, norms / totals.targets()));
    }
    link();
    return all;
  }

  /** Not where something is no number: the base must not take that up. */
  private void link() {
    if (!update.links(step) || !finite()) {
      return;
    }
    Optional<BaseChange> merged = update.link(trainables, step);
    merged.ifPresent(changes::add);
    if (merged.isPresent()) {
      outer.ifPresent(o -> o.forget(layout));
    }
  }

  private static Committed committed(long step, Totals totals, double rate, double norm) {
    return new Committed(
        step, totals.meanLoss(), rate, norm, totals.tokens(), totals.cells(), totals.ledger());
  }
}
