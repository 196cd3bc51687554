package dev.kindling.optim;

/**
 * Trainables that learn alike: the first {@code width} of every {@code stride} elements. What lies
 * in no group stays as it is.
 *
 * @param from first element of the flat vector
 * @param to after the last one
 * @param stride from one run of elements to the next
 * @param width of a run
 * @param factor of the learning rate, and with it of the decay
 * @param taken steps that the optimiser has moved them already
 */
public record Group(int from, int to, int stride, int width, double factor, long taken) {
  public Group {
    if (from > to || width > stride || width < 0 || !(factor > 0)) {
      throw new IllegalArgumentException(
          "from %d to %d, %d of %d at %s".formatted(from, to, width, stride, factor));
    }
  }

  /** All elements of a range. */
  public Group(int from, int to, double factor, long taken) {
    this(from, to, to - from, to - from, factor, taken);
  }

  /** Whether it is a range. */
  public boolean whole() {
    return stride == width;
  }

  /** What is done with a run. */
  public interface Run {
    void of(int from, int to);
  }

  /** Calls for each run of elements in turn. */
  public void runs(Run run) {
    for (int at = from; at < to; at += stride) {
      run.of(at, at + width);
    }
  }
}
