package dev.kindling.train;

import dev.kindling.data.TokenBatch;
import dev.kindling.model.BatchResult;
import dev.kindling.model.Model;
import dev.kindling.model.Model.Pending;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.Queue;

/**
 * Mutable: takes micro-batches through a model, one after another. Where the model computes in the
 * background the next one is begun before the last is used, so that neither a device nor who adds
 * its gradients waits for the other.
 */
public final class MicroBatches {
  /** What is done with a micro-batch. */
  public interface Use {
    /**
     * @param gradient may be spoilt
     */
    void of(float[] gradient, BatchResult result);
  }

  private record UnderWay(float[] gradient, Pending pending) {}

  private final Queue<UnderWay> underWay = new ArrayDeque<>();
  private final Queue<float[]> free = new ArrayDeque<>();
  private final Model model;

  /**
   * @param elements of a gradient
   */
  public MicroBatches(Model model, int elements) {
    this.model = model;
    for (int i = 0; i < model.ahead(); i++) {
      free.add(new float[elements]);
    }
  }

  /** Uses them in their order. */
  public void each(Iterator<TokenBatch> batches, Use use) {
    while (batches.hasNext()) {
      TokenBatch batch = batches.next();
      if (free.isEmpty()) {
        finish(use);
      }
      float[] gradient = free.remove();
      underWay.add(new UnderWay(gradient, model.begin(batch, gradient)));
    }
    while (!underWay.isEmpty()) {
      finish(use);
    }
  }

  private void finish(Use use) {
    UnderWay first = underWay.remove();
    use.of(first.gradient, first.pending.await());
    free.add(first.gradient);
  }
}
