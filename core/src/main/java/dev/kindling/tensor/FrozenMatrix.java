package dev.kindling.tensor;

/**
 * A frozen weight matrix w [out, in], or an embedding table [rows, features], in whatever form its
 * backend multiplies best: raw, packed, quantised, resident on a device. Made by {@link
 * Backend#freeze}, changed by {@link Backend#change} alone, shared by all tasks of a process.
 */
public interface FrozenMatrix {
  /** What a matrix is read for, which decides on the form that pays. */
  enum Use {
    /** It is to take as little memory as it can: rows are looked up, or there is much of it. */
    TABLE,
    /** A layer that every token passes through, of which copies are no matter. */
    LAYER,
    /**
     * A language model's logits: the largest matrix there is, read once for each chunk of tokens.
     */
    HEAD
  }

  /** Output features: rows of w. */
  int out();

  /** Input features: columns of w. */
  int in();

  /** Bytes that it occupies. */
  long bytes();

  /** Those of them that are arrangements made for products. */
  default long packedBytes() {
    return 0;
  }

  /** Frees what the backend has made of it, but not the memory of the tensor that it came from. */
  default void release() {
    // Most are that tensor and nothing else.
  }

  /** Bytes that a product with it needs for itself, while it runs. */
  default long scratchBytes() {
    return 0;
  }
}
