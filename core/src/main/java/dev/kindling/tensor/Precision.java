package dev.kindling.tensor;

/** What activations are kept and products are made in. */
public enum Precision {
  /** IEEE single throughout. */
  FP32(DType.F32),
  /**
   * Activations and operands of products in bf16; sums, trainables, gradients of trainables,
   * statistics and losses in fp32.
   */
  BF16(DType.BF16);

  private final DType active;

  Precision(DType active) {
    this.active = active;
  }

  /** The element type of activations. */
  public DType active() {
    return active;
  }
}
