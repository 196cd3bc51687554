package dev.kindling.nn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;

/** Mutable: a task's use of a {@link SampledWeight}. */
final class Sampled {
  private final SampledWeight weight;
  private final Tensor scores;
  private final int offset;
  private boolean asked;

  /**
   * @param scores where a step says what features weigh [out]
   * @param offset of their marks among the trainables
   */
  Sampled(SampledWeight weight, Tensor scores, int offset) {
    this.weight = weight;
    this.scores = scores;
    this.offset = offset;
  }

  /** Takes the marks of the steps to come. */
  void choose(Backend backend, float[] trainables) {
    asked = weight.choose(backend, trainables, offset);
  }

  /** Features that gradients go on through. */
  int kept() {
    return weight.kept();
  }

  /** Rank of the part that they go on through as well. */
  int exact() {
    return weight.rank();
  }

  long scratch(int rows) {
    return weight.scratch(rows);
  }

  /** Says what features weigh, zero unless asked. */
  void score(Backend backend, Tensor dy, boolean more) {
    if (asked) {
      weight.score(backend, dy, scores, more);
    } else if (!more) {
      backend.zero(scores);
    }
  }

  /** dx [N, in] of dy [N, out], or += with {@code accumulate}. */
  void inputGradient(Backend backend, Tensor dy, Tensor dx, boolean accumulate, Tensor room) {
    weight.inputGradient(backend, dy, dx, accumulate, room);
  }
}
