package dev.kindling.tensor.onednn;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;

/**
 * A block of queries of one row, and the keys that any of them looks at.
 *
 * @param from first query
 * @param queries how many
 * @param firstKey first key
 * @param keys how many, rounded up
 * @param starts of each query, counted from the first key
 * @param ends of each query, likewise; both 0 where it sees nothing
 */
record Window(int from, int queries, int firstKey, int keys, int[] starts, int[] ends) {
  /** Queries of a block. */
  private static final int BLOCK = 128;

  /** Keys are rounded up to a multiple of this, so that shapes come again. */
  private static final int STEP = 64;

  private static final float[] HIDDEN = new float[1024];

  static {
    Arrays.fill(HIDDEN, Float.NEGATIVE_INFINITY);
  }

  /** Queries of the largest block. */
  static int most(AttentionShape s) {
    return Math.min(s.tokens(), BLOCK);
  }

  /** How many blocks a row has. */
  static int blocks(AttentionShape s) {
    return (s.tokens() + BLOCK - 1) / BLOCK;
  }

  /** Block {@code number} of a row. */
  static Window of(AttentionShape s, int row, int number, IntBuffer allStarts, IntBuffer allEnds) {
    int from = number * BLOCK;
    int queries = Math.min(BLOCK, s.tokens() - from);
    int[] starts = new int[queries];
    int[] ends = new int[queries];
    int lowest = s.keys() - 1;
    int highest = 0;
    for (int t = 0; t < queries; t++) {
      starts[t] = allStarts.get(row * s.tokens() + from + t);
      ends[t] = allEnds.get(row * s.tokens() + from + t);
      if (starts[t] < ends[t]) {
        lowest = Math.min(lowest, starts[t]);
        highest = Math.max(highest, ends[t]);
      }
    }
    int firstKey = Math.min(lowest, Math.max(highest - 1, 0)) / STEP * STEP;
    int keys = (Math.max(highest - firstKey, 1) + STEP - 1) / STEP * STEP;
    for (int t = 0; t < queries; t++) {
      boolean sees = starts[t] < ends[t];
      starts[t] = sees ? starts[t] - firstKey : 0;
      ends[t] = sees ? ends[t] - firstKey : 0;
    }
    return new Window(from, queries, firstKey, Math.min(keys, s.keys() - firstKey), starts, ends);
  }

  /**
   * scores [heads, queries, keys] become −∞ where a query does not look. That is a fraction of them
   * (of a causal block half of its last square), whereas a mask that is added to a product passes
   * over all.
   */
  void hide(Tensor scores, int heads) {
    FloatBuffer all = CpuMemory.floats(scores);
    for (int t = 0; t < queries; t++) {
      for (int h = 0; h < heads && (starts[t] > 0 || ends[t] < keys); h++) {
        int at = (h * queries + t) * keys;
        hide(all, at, at + Math.min(starts[t], keys));
        hide(all, at + Math.min(ends[t], keys), at + keys);
      }
    }
  }

  private static void hide(FloatBuffer scores, int from, int to) {
    for (int at = from; at < to; at += HIDDEN.length) {
      scores.put(at, HIDDEN, 0, Math.min(HIDDEN.length, to - at));
    }
  }

  /** probabilities [heads, queries, keys] of queries that see nothing become zero. */
  void clearBlind(Tensor probabilities, int heads) {
    int blind = 0;
    while (blind < queries) {
      int to = blind;
      while (to < queries && starts[to] == ends[to]) {
        to++;
      }
      for (int h = 0; h < heads && to > blind; h++) {
        long first = ((long) h * queries + blind) * keys;
        CpuMemory.zero(probabilities.slice(first, (long) (to - blind) * keys));
      }
      blind = to + 1;
    }
  }
}
