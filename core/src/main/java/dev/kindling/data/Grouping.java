package dev.kindling.data;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * How the examples of a global batch are laid into micro-batches: those of like length together, so
 * that little is padded. Which examples the batch holds stays as it was, and with it its gradient
 * but for rounding. A function of the batch alone, not of who computes it.
 *
 * @param rows of a micro-batch, at least 1
 * @param packTo tokens of a row that several examples may share; 0 for one example in each
 */
public record Grouping(int rows, int packTo) implements Serializable {
  private static final Comparator<List<Example>> LONGEST_FIRST =
      Comparator.<List<Example>>comparingInt(row -> -TokenBatch.length(row))
          .thenComparingLong(row -> row.get(0).position());

  /** Tokens of the longest possible row, where no example has more than {@code tokens}. */
  public int longestRow(int tokens) {
    return Math.max(packTo, tokens);
  }

  /** Cuts a batch: micro-batches of rows of examples, the longest first. */
  public List<List<List<Example>>> cut(List<Example> batch) {
    List<List<Example>> all = new ArrayList<>();
    for (Example example : batch) {
      all.add(List.of(example));
    }
    all.sort(LONGEST_FIRST);
    if (packTo > 0) {
      all = packed(all);
      all.sort(LONGEST_FIRST);
    }
    List<List<List<Example>>> cut = new ArrayList<>();
    for (int from = 0; from < all.size(); from += rows) {
      cut.add(List.copyOf(all.subList(from, Math.min(from + rows, all.size()))));
    }
    return cut;
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
      List<List<Example>> rows = cut.get(i);
      cells[least] += (long) rows.size() * TokenBatch.length(rows.get(0));
    }
    return dealt;
  }

  /** First fit decreasing: at most 11/9 of the fewest possible rows, and one more. */
  private List<List<Example>> packed(List<List<Example>> singles) {
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
        room.add(Math.max(packTo, length));
      }
      open.get(row).addAll(single);
      room.set(row, room.get(row) - length);
    }
    return open;
  }
}
