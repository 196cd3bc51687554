package dev.kindling.tensor;

/** Element-wise non-linearities. */
public enum Activation {
  /** x·Φ(x) by the error function: Hugging Face's {@code gelu}. */
  GELU,
  /** Hyperbolic tangent, as in BERT's pooler. */
  TANH
}
