package dev.kindling.checkpoint;

/**
 * One frozen tensor that a model needs: a row of its family's weight table.
 *
 * @param name Hugging Face's name, family prefix included
 * @param matrix whether it is the w [out, in] of a linear layer or a table, to be frozen
 * @param transposed whether files hold it as [in, out], as GPT-2's Conv1D does
 * @param head whether it gives a language model's logits
 * @param shape sizes as the engine has them, outermost first
 */
public record WeightSlot(
    String name, boolean matrix, boolean transposed, boolean head, long... shape) {
  /** A tensor that is stored as it is used. */
  public WeightSlot(String name, boolean matrix, long... shape) {
    this(name, matrix, false, false, shape);
  }

  /** Sizes as files have them. */
  public long[] storedShape() {
    return transposed ? new long[] {shape[1], shape[0]} : shape;
  }
}
