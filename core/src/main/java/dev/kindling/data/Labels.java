package dev.kindling.data;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The classes of a classification task, in index order. */
public final class Labels {
  private final List<String> names;
  private final Map<String, Integer> indices = new HashMap<>();

  public Labels(List<String> names) {
    this.names = List.copyOf(names);
    for (int i = 0; i < names.size(); i++) {
      indices.put(names.get(i), i);
    }
  }

  /** Sorts the distinct labels of training data: as numbers if all are, as text otherwise. */
  public static Labels sorted(Collection<String> distinct) {
    boolean numbers = distinct.stream().allMatch(Labels::isIndex);
    Comparator<String> order =
        numbers ? Comparator.comparingLong(Long::parseLong) : Comparator.naturalOrder();
    return new Labels(distinct.stream().sorted(order).toList());
  }

  public List<String> names() {
    return names;
  }

  public int size() {
    return names.size();
  }

  /**
   * Index of a label given as class name or, where no class has that name, as index.
   *
   * @param where the row, for the message
   * @throws InvalidInput if it is neither
   */
  public int index(String label, String where) {
    Integer named = indices.get(label);
    if (named != null) {
      return named;
    }
    if (label.equals(Integer.toString(Backend.IGNORED))) {
      return Backend.IGNORED;
    }
    if (isIndex(label) && Long.parseLong(label) < names.size()) {
      return Integer.parseInt(label);
    }
    String known = names.size() <= 12 ? names.toString() : names.subList(0, 12) + " and more";
    throw new InvalidInput(
        where,
        "label '" + label + "' is no class",
        "expected one of " + known + " or an index from 0 to " + (names.size() - 1));
  }

  private static boolean isIndex(String label) {
    return label.matches("\\d{1,9}");
  }
}
