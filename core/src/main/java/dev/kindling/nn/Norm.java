package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Tensor;

/** A frozen normalisation of rows x [N, d]. */
public sealed interface Norm permits LayerNorm, RmsNorm {
  /**
   * What the backward reads besides x.
   *
   * @param y output [N, d], which the next layer reads
   * @param statistics real, [N, 2] of a layer norm, [N, 1] of an RMS norm
   */
  record Saved(Tensor y, Tensor statistics) {}

  /** Takes the statistics of {@code rows} rows. */
  Tensor statistics(Arena.Layout arena, int rows);

  /** Features of a row. */
  int features();

  /** Takes what a step with {@code rows} rows keeps. */
  default Saved save(Arena.Layout arena, int rows) {
    return new Saved(arena.active(rows, features()), statistics(arena, rows));
  }

  /** Normalises x into y. */
  void forward(Tensor x, Tensor y, Tensor statistics);

  /** Normalises x into {@code saved.y}. */
  default void forward(Tensor x, Saved saved) {
    forward(x, saved.y, saved.statistics);
  }

  /** Gradient of the input. */
  void backward(Tensor x, Tensor statistics, Tensor dy, Tensor dx);
}
