package dev.kindling.optim;

/**
 * Trainables that learn at a rate of their own. What lies in no group stays as it is.
 *
 * @param from first element of the flat vector
 * @param to after the last one
 * @param factor of the learning rate, and with it of the decay
 * @param begun the step since which the optimiser knows them, from 0
 */
public record Group(int from, int to, double factor, long begun) {
  public Group {
    if (from > to || !(factor > 0)) {
      throw new IllegalArgumentException("from %d to %d at %s".formatted(from, to, factor));
    }
  }

  /** Known from the first step on. */
  public Group(int from, int to, double factor) {
    this(from, to, factor, 0);
  }
}
