package dev.kindling.tensor;

/** Element type of a tensor in a backend's memory. */
public enum DType {
  /** IEEE single precision: what the shipped backends compute in. */
  F32(4),
  /** IEEE double precision: what the reference backend of the tests computes in. */
  F64(8),
  /** IEEE half precision: frozen weights kept as they are stored; no product is made in it. */
  F16(2),
  /** The upper half of an IEEE single: the same, and activations where precision is bf16. */
  BF16(2),
  /** Codes of frozen weights, of one element or of two. */
  I8(1),
  /** Token ids, positions, labels, lengths, row numbers. */
  I32(4),
  /** Keys of random draws. */
  I64(8);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }
}
