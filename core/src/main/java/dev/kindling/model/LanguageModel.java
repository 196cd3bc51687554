package dev.kindling.model;

/** A model that says which token comes next. */
public interface LanguageModel extends Model {
  /** A sequence that grows at its end; what earlier tokens gave is kept. */
  interface Continuation extends AutoCloseable {
    /**
     * Appends tokens.
     *
     * @param ids at least one
     * @param logits overwritten with one for each token of the vocabulary: what follows the last
     * @throws IllegalArgumentException if they exceed the capacity
     */
    void append(int[] ids, float[] logits);

    /** Tokens so far. */
    int tokens();

    @Override
    void close();
  }

  /**
   * Begins an empty sequence with the trainables loaded last.
   *
   * @param capacity tokens that it may grow to
   */
  Continuation continuation(int capacity);
}
