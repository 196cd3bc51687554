package dev.kindling.optim;

import java.util.stream.IntStream;

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
  /** Elements that are worth a thread: a millisecond of an update. */
  private static final int PIECE = 1 << 18;

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

  /** What is done with elements, each by itself. */
  public interface Run {
    void of(int from, int to);
  }

  /** Calls for each run of elements; for long ones piece by piece, on whatever threads are free. */
  public void runs(Run run) {
    for (int at = from; at < to; at += stride) {
      int start = at;
      int pieces = (width + PIECE - 1) / PIECE;
      if (pieces < 2) {
        run.of(start, start + width);
        continue;
      }
      IntStream.range(0, pieces)
          .parallel()
          .forEach(i -> run.of(start + i * PIECE, start + Math.min(width, (i + 1) * PIECE)));
    }
  }
}
