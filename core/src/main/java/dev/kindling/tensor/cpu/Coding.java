package dev.kindling.tensor.cpu;

import dev.kindling.tensor.Storage;

/**
 * How the elements of a block become codes, given the block's scale: its largest magnitude. Both
 * directions on Java arrays, so that loops are compiled well; one worker's own.
 */
sealed interface Coding permits Nf4, Int8 {
  /** The one of a storage that has codes. */
  static Coding of(Storage storage) {
    return switch (storage) {
      case NF4 -> new Nf4();
      case INT8 -> new Int8();
      case FP32, AS_STORED -> throw new IllegalArgumentException(storage + " has no codes");
    };
  }

  /** Codes in a byte. */
  int perByte();

  /**
   * Rounds {@code count} elements of one block to codes.
   *
   * @param scale largest magnitude of the block, at least 0
   * @param packed codes from {@code at} on, counted in codes, which begins a byte
   */
  void encode(float[] w, int from, int count, float scale, byte[] packed, int at);

  /**
   * Spreads codes that share bytes, one to a byte.
   *
   * @param packed bytes, of which code {@code first} becomes the first of {@code count}
   */
  void unpack(byte[] packed, int first, int count, byte[] codes);

  /** The values of codes {@code from …} of one block, at the same places. */
  void decode(byte[] codes, int from, int count, float scale, float[] into);

  /** The same, rounded to BF16. */
  void decode(byte[] codes, int from, int count, float scale, short[] into);
}
