package dev.kindling.tensor;

/** Element-wise non-linearities. */
public enum Activation {
  /** x·Φ(x) by the error function: Hugging Face's {@code gelu}. */
  GELU,
  /** x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2: Hugging Face's {@code gelu_new}, as in GPT-2. */
  GELU_TANH,
  /** x·σ(x), as in Llama's gated feed-forward. */
  SILU,
  /** Hyperbolic tangent, as in BERT's pooler. */
  TANH
}
