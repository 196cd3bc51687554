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
 * background the next one is begun before the last is used, so that who adds gradients does not
 * keep a device waiting.
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
  private final int elements;

  /**
   * @param elements of a gradient
   */
  public MicroBatches(Model model, int elements) {
    this.model = model;
    this.elements = elements;
  }

  /** Uses them in their order. What fails there, or in the model, comes out. */
  public void each(Iterator<TokenBatch> batches, Use use) {
    try {
      while (batches.hasNext()) {
        TokenBatch batch = batches.next();
        if (underWay.size() == model.ahead()) {
          finish(use);
        }
        float[] gradient = free.isEmpty() ? new float[elements] : free.remove();
        underWay.add(new UnderWay(gradient, model.begin(batch, gradient)));
      }
      while (!underWay.isEmpty()) {
        finish(use);
      }
    } catch (RuntimeException | Error e) {
      abandon(e);
      throw e;
    }
  }

  private void finish(Use use) {
    UnderWay first = underWay.remove();
    use.of(first.gradient, first.pending.await());
    free.add(first.gradient);
  }

  /** The model, which others will use, is left with no micro-batch on its way. */
  private void abandon(Throwable why) {
    for (UnderWay one : underWay) {
      try {
        one.pending.await();
      } catch (RuntimeException e) {
        why.addSuppressed(e);
      }
    }
    underWay.clear();
  }
}
