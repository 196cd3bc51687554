package dev.kindling.model;

import dev.kindling.data.TokenBatch;
import dev.kindling.tensor.Arena;

/**
 * One task's model. Mutable: the frozen weights are shared, the trainables, gradients and
 * activations are its own. For one thread at a time.
 */
public interface Model extends AutoCloseable {
  /** Takes over the flat vector of trainables. */
  void load(float[] trainables);

  /** Loss of a micro-batch, without dropout. */
  BatchResult evaluate(TokenBatch batch);

  /** A micro-batch that may still be computed. */
  interface Pending {
    /** Waits for its loss and gradient. */
    BatchResult await();
  }

  /**
   * Begins to compute the loss and gradient of a micro-batch. At most {@link #ahead} of them may be
   * under way, each with a gradient of its own; they are awaited in their order, each once.
   *
   * @param gradient overwritten, until it has been awaited, with Σ d loss / d trainable over the
   *     targets, in layout order
   */
  Pending begin(TokenBatch batch, float[] gradient);

  /** Loss and gradient of a micro-batch, as {@link #begin} has them. */
  default BatchResult gradient(TokenBatch batch, float[] gradient) {
    return begin(batch, gradient).await();
  }

  /** Micro-batches that may be under way at once, at least one. */
  int ahead();

  /**
   * Bytes that a step of such a micro-batch needs.
   *
   * @param training whether a backward follows
   */
  Arena.Size stepBytes(TokenBatch.Shape batch, boolean training);

  /**
   * Logits of the latest batch, row-major: [examples, classes], or of a language model [rows ·
   * tokens, vocabulary].
   */
  float[] logits();

  @Override
  void close();
}
