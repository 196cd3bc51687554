package dev.kindling.tensor.onednn;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;

/**
 * Neighbouring heads of one row: what one thread computes at a time, and where it lies. Heads are
 * strides: nothing is copied into another order.
 *
 * @param s of the whole batch
 * @param row of the batch
 * @param first of the heads of keys and values
 * @param count of them; each serves {@link #group} heads of queries
 */
record Heads(AttentionShape s, int row, int first, int count) {
  /**
   * Scores of a block of queries and these heads, unless one head has more: 512 KiB in F32, so that
   * they and their gradients stay in a core's cache.
   */
  private static final long BLOCK = 1 << 17;

  /** How many heads of keys and values go together: a divisor of all. */
  static int together(AttentionShape s) {
    long one = (long) (s.heads() / s.kvHeads()) * Window.most(s) * s.keys();
    int count = (int) Math.max(1, Math.min(s.kvHeads(), BLOCK / one));
    while (s.kvHeads() % count != 0) {
      count--;
    }
    return count;
  }

  /** How many of these a batch falls into. */
  static int pieces(AttentionShape s) {
    return s.batch() * (s.kvHeads() / together(s));
  }

  /** Piece {@code number} of them. */
  static Heads piece(AttentionShape s, int number) {
    int count = together(s);
    int inRow = s.kvHeads() / count;
    return new Heads(s, number / inRow, number % inRow * count, count);
  }

  /** Heads of queries for each of keys and values. */
  int group() {
    return s.heads() / s.kvHeads();
  }

  /** Features of keys or values. */
  int width() {
    return count * s.headSize();
  }

  /** [heads, heads of each, queries, keys]. */
  Operand scores(Window window, Tensor scratch) {
    return Operand.dense(scratch, count, group(), window.queries(), window.keys());
  }

  /** [heads, queries, keys] of one of each group. */
  Operand scores(Window window, Tensor scratch, int inGroup) {
    long square = (long) window.queries() * window.keys();
    return new Operand(
        CpuMemory.address(scratch.slice(inGroup * square, 1)),
        scratch.type(),
        new long[] {count, window.queries(), window.keys()},
        new long[] {group() * square, window.keys(), 1});
  }

  /** [heads, heads of each, queries, headSize] of a tensor [batch · tokens, hidden]. */
  Operand queries(Window window, Tensor t) {
    int d = s.headSize();
    return new Operand(
        CpuMemory.address(t.slice(query(window, 0), 1)),
        t.type(),
        new long[] {count, group(), window.queries(), d},
        new long[] {(long) group() * d, d, s.hidden(), 1});
  }

  /** [heads, queries, headSize] of one of each group. */
  Operand queries(Window window, Tensor t, int inGroup) {
    int d = s.headSize();
    return new Operand(
        CpuMemory.address(t.slice(query(window, inGroup), 1)),
        t.type(),
        new long[] {count, window.queries(), d},
        new long[] {(long) group() * d, s.hidden(), 1});
  }

  private long query(Window window, int inGroup) {
    long token = (long) row * s.tokens() + window.from();
    return token * s.hidden() + ((long) first * group() + inGroup) * s.headSize();
  }

  /** [heads, 1, keys, headSize] of a tensor [batch · keys, kvHidden]. */
  Operand keys(Window window, Tensor t) {
    int d = s.headSize();
    long key = (long) row * s.keys() + window.firstKey();
    return new Operand(
        CpuMemory.address(t.slice(key * s.kvHidden() + (long) first * d, 1)),
        t.type(),
        new long[] {count, 1, window.keys(), d},
        new long[] {d, d, s.kvHidden(), 1});
  }

  /** [keys, width] of a tensor [batch · keys, kvHidden]: all keys of the row. */
  Operand allKeys(Tensor t) {
    long key = (long) row * s.keys();
    return new Operand(
        CpuMemory.address(t.slice(key * s.kvHidden() + (long) first * s.headSize(), 1)),
        t.type(),
        new long[] {s.keys(), width()},
        new long[] {s.kvHidden(), 1});
  }

  /** [heads, keys, headSize] of sums [keys, width]. */
  Operand sums(Window window, Tensor sums) {
    int d = s.headSize();
    return new Operand(
        CpuMemory.address(sums.slice((long) window.firstKey() * width(), 1)),
        sums.type(),
        new long[] {count, window.keys(), d},
        new long[] {d, width(), 1});
  }
}
