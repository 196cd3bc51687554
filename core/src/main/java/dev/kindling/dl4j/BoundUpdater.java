package dev.kindling.dl4j;

import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.GradientUpdater;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.schedule.ISchedule;

/**
 * Deeplearning4j's door for an optimiser, which is ours: its state is a view into the network's
 * updater state, so that it is sent, averaged and saved with it.
 */
final class BoundUpdater implements IUpdater {
  private static final long serialVersionUID = 1;
  private final int vectors;

  /**
   * @param vectors of the trainables' length that the optimiser keeps
   */
  BoundUpdater(int vectors) {
    this.vectors = vectors;
  }

  @Override
  public long stateSize(long parameters) {
    return vectors * parameters;
  }

  @Override
  public Rule instantiate(@Nullable INDArray view, boolean initialize) {
    Rule rule = new Rule(this);
    rule.setStateViewArray(view, new long[0], 'c', initialize);
    return rule;
  }

  @Override
  public Rule instantiate(Map<String, INDArray> state, boolean initialize) {
    throw new UnsupportedOperationException("the state is one vector");
  }

  @Override
  @SuppressWarnings("MethodDoesntCallSuperMethod")
  public BoundUpdater clone() {
    return new BoundUpdater(vectors);
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof BoundUpdater updater && updater.vectors == vectors;
  }

  @Override
  public int hashCode() {
    return vectors;
  }

  @Override
  public double getLearningRate(int iteration, int epoch) {
    return Double.NaN; // Deeplearning4j's word for: ask somebody else
  }

  @Override
  public boolean hasLearningRate() {
    return false;
  }

  @Override
  public void setLrAndSchedule(double rate, ISchedule schedule) {
    throw new UnsupportedOperationException("the rate is bound with the rule");
  }

  /** Mutable: at work in one network. */
  static final class Rule implements GradientUpdater<BoundUpdater> {
    private final BoundUpdater config;
    private @Nullable INDArray state;
    private @Nullable INDArray trainables;
    private @Nullable UpdateRule rule;

    Rule(BoundUpdater config) {
      this.config = config;
    }

    void bind(INDArray parameters, UpdateRule bound) {
      trainables = parameters;
      rule = bound;
    }

    /** Turns the gradient into what is to be subtracted from the parameters. */
    @Override
    public void applyUpdater(INDArray gradient, int iteration, int epoch) {
      INDArray parameters = trainables;
      UpdateRule bound = rule;
      if (parameters == null || bound == null) {
        throw new IllegalStateException("no rule is bound: the network only trains, by its hook");
      }
      float[] before = parameters.toFloatVector();
      float[] after = before.clone();
      float[] kept = state == null ? new float[0] : state.toFloatVector();
      bound.apply(after, gradient.toFloatVector(), kept, iteration);
      for (int i = 0; i < before.length; i++) {
        before[i] -= after[i]; // exact, unless a step more than halves or doubles a value
      }
      Floats.put(before, gradient);
      if (state != null) {
        Floats.put(kept, state);
      }
    }

    @Override
    public BoundUpdater getConfig() {
      return config;
    }

    @Override
    public void setStateViewArray(
        @Nullable INDArray view, long[] shape, char order, boolean initialize) {
      state = view;
      if (view != null && initialize) {
        view.assign(0);
      }
    }

    @Override
    public void setState(Map<String, INDArray> states, boolean initialize) {
      throw new UnsupportedOperationException("the state is one vector");
    }

    @Override
    public Map<String, INDArray> getState() {
      return state == null ? Map.of() : Map.of("state", state);
    }
  }
}
