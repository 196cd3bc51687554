package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.optim.Optimizer;
import dev.kindling.optim.OptimizerSettings;
import java.util.Map;
import java.util.TreeMap;

/**
 * Mutable: what a step changes, and all that the next one depends on. Lives on the driver, which
 * alone commits steps.
 */
public final class TrainingState {
  /** Added to the norm before dividing by it, as PyTorch's clip_grad_norm_. */
  private static final double CLIP_EPSILON = 1e-6;

  private final float[] trainables;
  private final float[] gradient;
  private final Optimizer optimizer;
  private final OptimizerSettings settings;
  private final double maxGradNorm;
  private int[] exponents;
  private long step;

  /**
   * @param start trainables before the first step; taken over
   * @param maxGradNorm 0 for no clipping
   */
  public TrainingState(
      AdapterLayout layout, float[] start, OptimizerSettings settings, double maxGradNorm) {
    this.trainables = start;
    this.gradient = new float[start.length];
    this.optimizer = Optimizer.of(settings, start.length);
    this.settings = settings;
    this.maxGradNorm = maxGradNorm;
    this.exponents = GradientSum.firstExponents(layout);
  }

  /**
   * What a committed step reports.
   *
   * @param step from 1
   * @param loss mean over the batch's targets before the update
   * @param learningRate of this update
   * @param gradNorm of the mean gradient over all trainables, before clipping
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

  /** Bytes of the optimiser's state. */
  public long optimizerBytes() {
    return optimizer.bytes();
  }

  /** Steps committed so far. */
  public long step() {
    return step;
  }

  /** The current trainables; not to be changed by the caller. */
  public float[] trainables() {
    return trainables;
  }

  /** All that the next step depends on besides {@link #step} and {@link #exponents}, live. */
  public Map<String, float[]> tensors() {
    Map<String, float[]> tensors = new TreeMap<>();
    tensors.put("trainables", trainables);
    optimizer.state().forEach((name, values) -> tensors.put("optimizer." + name, values));
    return tensors;
  }

  /**
   * Goes on after a step that was committed before.
   *
   * @param saved as {@link #tensors} gave them
   * @throws IllegalArgumentException if they are not of this run; nothing is changed then
   */
  public void restore(long committed, int[] savedExponents, Map<String, float[]> saved) {
    Map<String, float[]> own = tensors();
    boolean alike =
        saved.keySet().equals(own.keySet()) && savedExponents.length == exponents.length;
    for (Map.Entry<String, float[]> tensor : own.entrySet()) {
      alike = alike && saved.get(tensor.getKey()).length == tensor.getValue().length;
    }
    if (!alike) {
      throw new IllegalArgumentException("the state saved is of other trainables");
    }
    own.forEach((name, to) -> System.arraycopy(saved.get(name), 0, to, 0, to.length));
    exponents = savedExponents.clone();
    step = committed;
    optimizer.resume(committed);
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

  /** Clips, updates, advances. The sum must fit, be finite and have targets. */
  public Committed commit(GradientSum sum) {
    sum.meanGradient(gradient);
    double squares = 0;
    for (float g : gradient) {
      squares += (double) g * g;
    }
    double norm = Math.sqrt(squares);
    if (maxGradNorm > 0) {
      float factor = (float) Math.min(1, maxGradNorm / (norm + CLIP_EPSILON));
      for (int i = 0; i < gradient.length; i++) {
        gradient[i] *= factor;
      }
    }
    double rate = settings.learningRate() * settings.schedule().factor(step);
    optimizer.step(trainables, gradient, rate);
    exponents = sum.nextExponents();
    step++;
    Totals totals = sum.totals();
    return new Committed(
        step, totals.meanLoss(), rate, norm, totals.tokens(), totals.cells(), totals.ledger());
  }
}
