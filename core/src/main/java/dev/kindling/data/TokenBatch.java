package dev.kindling.data;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Seeds;
import java.util.Arrays;
import java.util.List;

/**
 * A micro-batch, right-padded to its longest example. Ids, positions, lengths and labels are laid
 * out here and nowhere else.
 *
 * @param examples sequences
 * @param tokens length of each, padding included
 * @param ids [examples · tokens]
 * @param positions [examples · tokens], rows of the position table
 * @param lengths [examples], tokens that are not padding
 * @param labels [examples], or of a decoder [examples · tokens]: what each position is to predict;
 *     {@link Backend#IGNORED} where there is no target
 * @param keys [examples · tokens], one per token for random masks: (seed, place in the stream,
 *     token)
 */
public record TokenBatch(
    int examples,
    int tokens,
    int[] ids,
    int[] positions,
    int[] lengths,
    int[] labels,
    long[] keys) {
  /**
   * How a model family lays out a sequence.
   *
   * @param padId token id of padding
   * @param firstPosition row of the position table of the first token: 0 for BERT, pad + 1 for
   *     RoBERTa, whose padding sits at row pad
   * @param maxTokens longest sequence that the position table can hold
   * @param nextToken whether every position predicts the token after it (a decoder), rather than
   *     the whole sequence one class
   */
  public record Rules(int padId, int firstPosition, int maxTokens, boolean nextToken) {
    /** Of a classifier. */
    public Rules(int padId, int firstPosition, int maxTokens) {
      this(padId, firstPosition, maxTokens, false);
    }
  }

  /** Lays out examples for an evaluation, which draws nothing. */
  public static TokenBatch of(List<Example> rows, Rules rules) {
    return of(rows, rules, 0);
  }

  /**
   * Lays out examples in the given order.
   *
   * @param seed of the run
   */
  public static TokenBatch of(List<Example> rows, Rules rules, long seed) {
    int n = rows.size();
    int tokens = rows.stream().mapToInt(r -> r.ids().length).max().orElse(0);
    int[] ids = new int[n * tokens];
    int[] positions = new int[n * tokens];
    int[] lengths = new int[n];
    int[] labels = new int[rules.nextToken ? n * tokens : n];
    long[] keys = new long[n * tokens];
    Arrays.fill(ids, rules.padId);
    for (int i = 0; i < n; i++) {
      Example row = rows.get(i);
      lengths[i] = row.ids().length;
      if (!rules.nextToken) {
        labels[i] = row.labels()[0];
      }
      long key = Seeds.of(seed, "dropout", row.position());
      for (int t = 0; t < tokens; t++) {
        int at = i * tokens + t;
        boolean real = t < lengths[i];
        positions[at] = real ? rules.firstPosition + t : Math.max(0, rules.firstPosition - 1);
        keys[at] = Seeds.mix(key, t);
        if (rules.nextToken) {
          labels[at] = t + 1 < lengths[i] ? row.labels()[t + 1] : Backend.IGNORED;
        }
        if (real) {
          ids[at] = row.ids()[t];
        }
      }
    }
    return new TokenBatch(n, tokens, ids, positions, lengths, labels, keys);
  }

  /** Labels that count. */
  public int targets() {
    return (int) Arrays.stream(labels).filter(l -> l != Backend.IGNORED).count();
  }

  /** Tokens that are not padding. */
  public long realTokens() {
    return Arrays.stream(lengths).asLongStream().sum();
  }
}
