package dev.kindling.tensor;

import java.util.Locale;

/** What activations are kept and products are made in. */
public enum Precision {
  /** IEEE single throughout. */
  FP32(DType.F32),
  /**
   * On GPUs: IEEE single, but that products of it round their operands to 11 bits, as tensor cores
   * take them (TF32), and sum in fp32.
   */
  TF32(DType.F32),
  /**
   * Activations and operands of products in bf16; sums, trainables, gradients of trainables,
   * statistics and losses in fp32.
   */
  BF16(DType.BF16);

  private final DType active;

  Precision(DType active) {
    this.active = active;
  }

  /** Whether products round what they multiply, a weight with an adapter in it too. */
  public boolean rounds() {
    return this != FP32;
  }

  /** As configurations name it. */
  public String spelled() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The element type of activations. */
  public DType active() {
    return active;
  }
}
