package dev.kindling.data;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * How the examples of a global batch are laid into micro-batches, so that little is padded: behind
 * each other in rows that they share, or those of like length together. Which examples the batch
 * holds stays as it was, and with it its gradient but for rounding. A function of the batch alone,
 * not of who computes it.
 *
 * @param rows of a micro-batch before any share one, at least 1
 * @param packTo tokens that rows are filled up to before they are cut into micro-batches; 0 to cut
 *     examples, so that a micro-batch has as many of them
 */
public record Grouping(int rows, int packTo) implements Serializable {
  private static final Comparator<List<Example>> LONGEST_FIRST =
      Comparator.<List<Example>>comparingInt(row -> -TokenBatch.length(row))
          .thenComparingLong(row -> row.get(0).position());

  private static final Comparator<List<List<Example>>> LARGEST_FIRST =
      Comparator.comparingLong(rows -> -TokenBatch.shape(rows).cells());

  /**
   * Tokens of a row that the examples of a micro-batch share, unless one has more: what attention
   * computes grows with it.
   */
  private static final int SHARED = 256;

  /** Tokens of the longest possible row, where no example has more than {@code tokens}. */
  public int longestRow(int tokens) {
    return Math.max(packTo, tokens);
  }

  /**
   * Micro-batches that need no less memory than any other, where no example has more than {@code
   * tokens}: of the longest rows, and of the longest shared ones.
   */
  public List<TokenBatch.Shape> largest(int tokens) {
    int longest = longestRow(tokens);
    int cells = Math.multiplyExact(rows, longest);
    int shared = TokenBatch.roundUp(Math.max(longest, Math.min(cells, SHARED)));
    return List.of(
        new TokenBatch.Shape(rows, longest, rows),
        new TokenBatch.Shape(Math.max(1, cells / shared), shared, rows));
  }

  /** Cuts a batch: micro-batches of rows of examples, the largest first. */
  public List<List<List<Example>>> cut(List<Example> batch) {
    List<List<Example>> all = new ArrayList<>();
    for (Example example : batch) {
      all.add(List.of(example));
    }
    all.sort(LONGEST_FIRST);
    if (packTo > 0) {
      all = packed(all, packTo);
      all.sort(LONGEST_FIRST);
    }
    List<List<List<Example>>> cut = alike(all);
    if (packTo == 0) {
      cut.replaceAll(Grouping::shared);
      List<List<List<Example>>> even = even(all);
      even.replaceAll(Grouping::shared);
      cut = cost(even) <= cost(cut) ? even : cut;
    }
    cut.sort(LARGEST_FIRST);
    return cut;
  }

  /** Neighbours in length together: the least padding where rows are too long to be shared. */
  private List<List<List<Example>>> alike(List<List<Example>> sorted) {
    List<List<List<Example>>> cut = new ArrayList<>();
    for (int from = 0; from < sorted.size(); from += rows) {
      cut.add(List.copyOf(sorted.subList(from, Math.min(from + rows, sorted.size()))));
    }
    return cut;
  }

  /** Dealt out there and back, so that all have nearly as many tokens, and tasks as much to do. */
  private List<List<List<Example>>> even(List<List<Example>> sorted) {
    int count = (sorted.size() + rows - 1) / rows;
    List<List<List<Example>>> cut = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      cut.add(new ArrayList<>());
    }
    for (int i = 0; i < sorted.size(); i++) {
      int place = i % count;
      boolean back = i / count % 2 == 1;
      cut.get(back ? count - 1 - place : place).add(sorted.get(i));
    }
    return cut;
  }

  /** Cells that are computed, and those that whoever is idle waits for at worst. */
  private static long cost(List<List<List<Example>>> cut) {
    long sum = 0;
    long largest = 0;
    for (List<List<Example>> rows : cut) {
      long cells = TokenBatch.shape(rows).cells();
      sum += cells;
      largest = Math.max(largest, cells);
    }
    return sum + largest;
  }

  /** The rows of fewest cells that examples, the longest first, can share. */
  private static List<List<Example>> shared(List<List<Example>> singles) {
    List<List<Example>> best = singles;
    int longest = TokenBatch.length(singles.get(0));
    for (int room = longest; room <= Math.max(longest, SHARED); room += TokenBatch.STEP) {
      List<List<Example>> rows = packed(singles, room);
      if (TokenBatch.shape(rows).cells() < TokenBatch.shape(best).cells()) {
        best = rows;
      }
    }
    return best;
  }

  /**
   * Which of so many tasks computes each micro-batch of a cut: the largest first, to whoever has
   * least (Graham, 1969: at most 4/3 − 1/(3·tasks) of the best possible). By turns the first task
   * would get the longer one each time.
   */
  public static int[] deal(List<List<List<Example>>> cut, int tasks) {
    long[] cells = new long[tasks];
    int[] dealt = new int[cut.size()];
    for (int i = 0; i < cut.size(); i++) { // the longest first
      int least = 0;
      for (int task = 1; task < tasks; task++) {
        least = cells[task] < cells[least] ? task : least;
      }
      dealt[i] = least;
      cells[least] += TokenBatch.shape(cut.get(i)).cells();
    }
    return dealt;
  }

  /** First fit decreasing: at most 11/9 of the fewest possible rows, and one more. */
  private static List<List<Example>> packed(List<List<Example>> singles, int most) {
    List<List<Example>> open = new ArrayList<>();
    List<Integer> room = new ArrayList<>();
    for (List<Example> single : singles) {
      int length = TokenBatch.length(single);
      int row = 0;
      while (row < open.size() && room.get(row) < length) {
        row++;
      }
      if (row == open.size()) {
        open.add(new ArrayList<>());
        room.add(Math.max(most, length));
      }
      open.get(row).addAll(single);
      room.set(row, room.get(row) - length);
    }
    return open;
  }
}
