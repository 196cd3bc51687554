package dev.kindling.data;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Seeds;
import java.util.Arrays;
import java.util.List;

/**
 * A micro-batch: rows of one or more examples behind each other, right-padded to the longest row.
 * Ids, positions, masks and labels are laid out here and nowhere else.
 *
 * <p>Examples that share a row do not see each other: each one's positions begin anew, its tokens
 * look at its own only, and its last token predicts nothing. So a row of several gives the same
 * losses and gradients as its examples alone.
 *
 * @param examples of all rows
 * @param rows B
 * @param tokens T of each row, padding included
 * @param ids [B · T]
 * @param positions [B · T], rows of the position table
 * @param starts [B · T], first token of its row that each token looks at
 * @param ends [B · T], one past the last one: its example's end, or of a decoder its own; padding
 *     looks at nothing
 * @param lengths [B], tokens that are not padding
 * @param firsts [examples], where among all B · T each example begins
 * @param labels [examples], or of a decoder [B · T]: what each position is to predict; {@link
 *     Backend#IGNORED} where there is no target
 * @param keys [B · T], one per token for random masks: (seed, place in the stream, token)
 * @param ledger {@link Ledger} of its examples
 */
public record TokenBatch(
    int examples,
    int rows,
    int tokens,
    int[] ids,
    int[] positions,
    int[] starts,
    int[] ends,
    int[] lengths,
    int[] firsts,
    int[] labels,
    long[] keys,
    long ledger) {
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

  /** Rows that several examples share are padded to a multiple of this, so that sizes recur. */
  static final int STEP = 16;

  /**
   * What a model lays a step out for.
   *
   * @param rows B
   * @param tokens T
   * @param examples of all rows
   */
  public record Shape(int rows, int tokens, int examples) {
    /** Tokens that are computed. */
    public long cells() {
      return (long) rows * tokens;
    }
  }

  /** Lays out examples, one in each row, for a computation that draws nothing. */
  public static TokenBatch of(List<Example> examples, Rules rules) {
    return of(examples, rules, 0);
  }

  /** Lays out examples in the given order, one in each row. */
  public static TokenBatch of(List<Example> examples, Rules rules, long seed) {
    return packed(examples.stream().map(List::of).toList(), rules, seed);
  }

  /**
   * Lays out rows of examples in the given order.
   *
   * @param seed of the run
   */
  public static TokenBatch packed(List<List<Example>> rows, Rules rules, long seed) {
    Shape shape = shape(rows);
    int cells = Math.toIntExact(shape.cells());
    TokenBatch batch =
        new TokenBatch(
            shape.examples,
            shape.rows,
            shape.tokens,
            new int[cells],
            new int[cells],
            new int[cells],
            new int[cells],
            new int[shape.rows],
            new int[shape.examples],
            new int[rules.nextToken ? cells : shape.examples],
            new long[cells],
            ledger(rows));
    Arrays.fill(batch.ids, rules.padId);
    Arrays.fill(batch.positions, Math.max(0, rules.firstPosition - 1));
    Arrays.fill(batch.labels, Backend.IGNORED);
    int number = 0;
    for (int b = 0; b < shape.rows; b++) {
      for (Example example : rows.get(b)) {
        batch.append(b, number++, example, rules, Seeds.of(seed, "dropout", example.position()));
      }
    }
    return batch;
  }

  private static long ledger(List<List<Example>> rows) {
    return rows.stream().flatMap(List::stream).mapToLong(e -> Ledger.of(e.position())).sum();
  }

  /** What rows of examples are laid out as. */
  public static Shape shape(List<List<Example>> rows) {
    int longest = rows.stream().mapToInt(TokenBatch::length).max().orElse(0);
    int examples = rows.stream().mapToInt(List::size).sum();
    boolean shared = examples > rows.size();
    return new Shape(rows.size(), shared ? roundUp(longest) : longest, examples);
  }

  static int roundUp(int tokens) {
    return (tokens + STEP - 1) / STEP * STEP;
  }

  /** What this one was laid out as. */
  public Shape shape() {
    return new Shape(rows, tokens, examples);
  }

  /** Tokens of a row of examples. */
  static int length(List<Example> row) {
    return row.stream().mapToInt(example -> example.ids().length).sum();
  }

  private void append(int row, int number, Example example, Rules rules, long key) {
    int start = lengths[row];
    int n = example.ids().length;
    firsts[number] = row * tokens + start;
    for (int t = 0; t < n; t++) {
      int at = row * tokens + start + t;
      ids[at] = example.ids()[t];
      positions[at] = rules.firstPosition + t;
      starts[at] = start;
      ends[at] = start + (rules.nextToken ? t + 1 : n);
      keys[at] = Seeds.mix(key, t);
      if (rules.nextToken && t + 1 < n) {
        labels[at] = example.labels()[t + 1];
      }
    }
    if (!rules.nextToken) {
      labels[number] = example.labels()[0];
    }
    lengths[row] = start + n;
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
