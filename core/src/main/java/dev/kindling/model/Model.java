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

  /**
   * Loss and gradient of a micro-batch.
   *
   * @param gradient overwritten with Σ d loss / d trainable over the targets, in layout order
   */
  BatchResult gradient(TokenBatch batch, float[] gradient);

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
