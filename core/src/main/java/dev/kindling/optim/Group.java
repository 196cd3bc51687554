package dev.kindling.optim;

/**
 * Trainables that learn at a rate of their own. What lies in no group stays as it is.
 *
 * @param from first element of the flat vector
 * @param to after the last one
 * @param factor of the learning rate, and with it of the decay
 */
public record Group(int from, int to, double factor) {
  public Group {
    if (from > to || !(factor > 0)) {
      throw new IllegalArgumentException("from %d to %d at %s".formatted(from, to, factor));
    }
  }
}
