package dev.kindling.train;

import dev.kindling.data.TokenBatch;
import dev.kindling.lora.Prefix;
import dev.kindling.model.Model;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Mutable: what one worker does from one averaging to the next. A step is the mean gradient of its
 * share of the global batch, and the update by it.
 */
public final class LocalSteps {
  private final Update update;
  private final double[] sums;
  private final List<LocalStep> taken = new ArrayList<>();
  private Totals totals = new Totals();

  /**
   * @param elements of the trainables
   */
  public LocalSteps(Update update, int elements) {
    this.update = update;
    this.sums = new double[elements];
  }

  /**
   * The mean gradient of a share: sums in double, in the order of the micro-batches. Zero where the
   * share has no target.
   *
   * @param prefix what the model has of the pairs
   * @param trainables all of them
   * @param gradient [elements], overwritten where the model has them
   * @return mean loss over the targets, 0 without
   */
  public double gradient(
      Model model, Prefix prefix, List<TokenBatch> share, float[] trainables, float[] gradient) {
    model.load(prefix.take(trainables));
    int elements = prefix.narrow().elements();
    Arrays.fill(sums, 0);
    totals = new Totals();
    new MicroBatches(model, elements)
        .each(
            share.iterator(),
            (one, result) -> {
              totals.add(result);
              for (int i = 0; i < one.length; i++) {
                sums[i] += one[i];
              }
            });
    double targets = Math.max(1, totals.targets());
    float[] part = prefix.all() ? gradient : new float[elements];
    for (int i = 0; i < elements; i++) {
      part[i] = (float) (sums[i] / targets);
    }
    if (!prefix.all()) {
      prefix.put(part, gradient);
    }
    return totals.targets() == 0 ? 0 : totals.meanLoss();
  }

  /** What a step (from 0) uses of the pairs. */
  public Prefix prefix(long step) {
    return update.prefix(step);
  }

  /**
   * The update that follows {@link #gradient}.
   *
   * @param gradient as that wrote it; spoilt
   * @param state the optimiser's before and after, as {@link Update#flatState}
   * @param step from 0
   */
  public void update(float[] trainables, float[] gradient, float[] state, long step) {
    update.restore(state);
    Update.Taken done = update.apply(trainables, gradient, step);
    System.arraycopy(update.flatState(), 0, state, 0, state.length);
    taken.add(new LocalStep(totals, done.learningRate(), done.gradNorm()));
  }

  /** The steps so far, in their order. */
  public List<LocalStep> taken() {
    return List.copyOf(taken);
  }
}
