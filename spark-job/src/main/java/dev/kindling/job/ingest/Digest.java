package dev.kindling.job.ingest;

import dev.kindling.data.Example;
import dev.kindling.tensor.Seeds;

/**
 * A digest of a sequence of examples that can be put together from those of its parts, wherever it
 * is cut: with h the hash of each example's tokens and labels, Σ h(i) · B^(n−1−i) modulo 2^64. To
 * notice that data has changed, not to withstand an adversary.
 */
final class Digest {
  /** Odd, so that no power of it is 0. */
  private static final long BASE = 0x9e3779b97f4a7c15L;

  private Digest() {}

  /** Of a sequence and one more example. */
  static long append(long digest, Example example) {
    return digest * BASE + hash(example);
  }

  /** Of one sequence behind another. */
  static long join(long first, long second, long secondLength) {
    long power = 1;
    long square = BASE;
    for (long n = secondLength; n > 0; n >>= 1) {
      if ((n & 1) == 1) {
        power *= square;
      }
      square *= square;
    }
    return first * power + second;
  }

  private static long hash(Example example) {
    long hash = Seeds.mix(example.ids().length, example.labels().length);
    for (int id : example.ids()) {
      hash = Seeds.mix(hash, id);
    }
    for (int label : example.labels()) {
      hash = Seeds.mix(hash, label);
    }
    return hash;
  }
}
