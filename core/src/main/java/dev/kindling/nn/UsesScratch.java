package dev.kindling.nn;

/** What needs room in a step that is free again after each call. */
public interface UsesScratch {
  /** Active elements that a step with {@code rows} rows needs. */
  default long scratch(int rows) {
    return 0;
  }

  /** Real elements that any step needs. */
  default long sums() {
    return 0;
  }
}
