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
  /** Elements of a piece, of which there are two at least: some milliseconds of an update. */
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
      if (width < 2 * PIECE) {
        run.of(at, at + width);
      } else {
        int start = at;
        pieces().forEach(i -> run.of(start + i * PIECE, start + end(i)));
      }
    }
  }

  /**
   * A sum and the squares of its elements: of a long range piece by piece, so that threads make no
   * difference to it.
   */
  public double addSquares(double before, float[] vector) {
    double sum = before;
    if (whole() && width >= 2 * PIECE) {
      double[] sums =
          pieces().mapToDouble(i -> squares(vector, from + i * PIECE, from + end(i), 0)).toArray();
      for (double piece : sums) {
        sum += piece;
      }
      return sum;
    }
    for (int at = from; at < to; at += stride) {
      sum = squares(vector, at, at + width, sum);
    }
    return sum;
  }

  private static double squares(float[] vector, int from, int to, double before) {
    double sum = before;
    for (int i = from; i < to; i++) {
      sum += (double) vector[i] * vector[i];
    }
    return sum;
  }

  private IntStream pieces() {
    return IntStream.range(0, (width + PIECE - 1) / PIECE).parallel();
  }

  private int end(int piece) {
    return Math.min(width, (piece + 1) * PIECE);
  }
}
