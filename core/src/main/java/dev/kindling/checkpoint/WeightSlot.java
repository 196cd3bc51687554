package dev.kindling.checkpoint;

import dev.kindling.tensor.Storage;

/**
 * One frozen tensor that a model needs: a row of its family's weight table.
 *
 * @param name Hugging Face's name, family prefix included
 * @param use what it is to the model
 * @param transposed whether files hold it as [in, out], as GPT-2's Conv1D does
 * @param shape sizes as the engine has them, outermost first
 */
public record WeightSlot(String name, Use use, boolean transposed, long... shape) {
  /** What a tensor is to a model. */
  public enum Use {
    /** A norm's weight or a bias. */
    VECTOR,
    /** w [out, in] of a linear layer in a transformer block. */
    BLOCK,
    /** Any other matrix: a table, a classifier's layer. */
    MATRIX,
    /** w [out, in] that gives a language model's logits. */
    HEAD
  }

  /** A tensor outside the blocks, or none of their matrices, that is stored as it is used. */
  public WeightSlot(String name, boolean matrix, long... shape) {
    this(name, matrix ? Use.MATRIX : Use.VECTOR, false, shape);
  }

  /** Whether it is the w [out, in] of a linear layer or a table, to be frozen. */
  public boolean matrix() {
    return use != Use.VECTOR;
  }

  /** Whether a base that is kept so has codes of it. */
  public boolean coded(Storage storage) {
    return storage.coded() && use == Use.BLOCK;
  }

  /** Sizes as files have them. */
  public long[] storedShape() {
    return transposed ? new long[] {shape[1], shape[0]} : shape;
  }
}
