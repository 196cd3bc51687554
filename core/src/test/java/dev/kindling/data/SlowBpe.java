package dev.kindling.data;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ToIntBiFunction;

/**
 * Byte-pair encoding word for word as Sennrich et al. (arXiv 1508.07909) describe it, quadratic and
 * without a cache: the twin that the library's fast one is held against.
 */
final class SlowBpe {
  /** The rank of a pair that is no merge. */
  static final int NONE = Integer.MAX_VALUE;

  private SlowBpe() {}

  /**
   * Joins the neighbours of lowest rank, the leftmost of equals first, until no pair has a rank.
   *
   * @param symbols characters of one word
   * @param rank position of a pair in the list of merges, or {@link #NONE}
   */
  static List<String> merge(List<String> symbols, ToIntBiFunction<String, String> rank) {
    List<String> parts = new ArrayList<>(symbols);
    while (true) {
      int best = -1;
      int lowest = NONE;
      for (int i = 0; i + 1 < parts.size(); i++) {
        int found = rank.applyAsInt(parts.get(i), parts.get(i + 1));
        if (found < lowest) {
          best = i;
          lowest = found;
        }
      }
      if (best < 0) {
        return parts;
      }
      parts.set(best, parts.get(best) + parts.remove(best + 1));
    }
  }

  /** A text's characters, those outside the basic plane whole. */
  static List<String> characters(String text) {
    return text.codePoints().mapToObj(Character::toString).toList();
  }
}
