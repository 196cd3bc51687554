package dev.kindling.data;

import dev.kindling.tensor.Seeds;
import java.io.Serializable;

/**
 * The order in which an epoch visits n examples, computed at any place in both directions, so that
 * no list of n numbers need exist anywhere.
 *
 * <p>A Feistel network of eight rounds permutes the smallest range of 2^(2k) numbers that holds n;
 * a result of n or more is permuted again until it falls below n (cycle walking), which takes fewer
 * than four tries on average and keeps it a permutation of [0, n).
 */
public final class EpochOrder implements Serializable {
  private static final long serialVersionUID = 1;
  private static final int ROUNDS = 8;

  private final long n;
  private final boolean shuffle;
  private final long seed;
  private final int half;

  /**
   * @param n examples, at least 1
   * @param shuffle false for the identity
   */
  public EpochOrder(long n, boolean shuffle, long seed) {
    if (n < 1) {
      throw new IllegalArgumentException("an epoch needs at least one example, not " + n);
    }
    this.n = n;
    this.shuffle = shuffle;
    this.seed = seed;
    int bits = 64 - Long.numberOfLeadingZeros(n - 1);
    this.half = Math.max(1, (bits + 1) / 2);
  }

  public long examples() {
    return n;
  }

  /** Example at position g ≥ 0 of the endless stream. */
  public long exampleAt(long g) {
    long epoch = Math.floorDiv(g, n);
    long at = Math.floorMod(g, n);
    if (!shuffle) {
      return at;
    }
    long key = Seeds.of(seed, "epoch", epoch);
    do {
      at = forward(at, key);
    } while (at >= n);
    return at;
  }

  /** Position in the endless stream at which the given epoch visits the given example. */
  public long positionOf(long example, long epoch) {
    long at = example;
    if (shuffle) {
      long key = Seeds.of(seed, "epoch", epoch);
      do {
        at = backward(at, key);
      } while (at >= n);
    }
    return epoch * n + at;
  }

  private long forward(long value, long key) {
    long mask = (1L << half) - 1;
    long left = value >>> half;
    long right = value & mask;
    for (int round = 0; round < ROUNDS; round++) {
      long next = left ^ (Seeds.mix(Seeds.mix(key, round), right) & mask);
      left = right;
      right = next;
    }
    return left << half | right;
  }

  private long backward(long value, long key) {
    long mask = (1L << half) - 1;
    long left = value >>> half;
    long right = value & mask;
    for (int round = ROUNDS - 1; round >= 0; round--) {
      long previous = right ^ (Seeds.mix(Seeds.mix(key, round), left) & mask);
      right = left;
      left = previous;
    }
    return left << half | right;
  }
}
