package dev.kindling.model.bert;

import dev.kindling.nn.LayerNorm;
import dev.kindling.nn.Linear;
import dev.kindling.tensor.Activation;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;

/**
 * The upper half of a block, token by token: {@code y = norm(h + output(gelu(intermediate(h))))}.
 */
record BertFeedForward(
    Backend backend, int size, Linear intermediate, Linear output, LayerNorm norm) {
  /** What the backward reads, besides h. */
  record Saved(
      Tensor inner,
      Tensor active,
      Tensor sum,
      Tensor statistics,
      Linear.Saved intermediate,
      Linear.Saved output) {}

  boolean trains() {
    return intermediate.trains() || output.trains();
  }

  Saved save(Arena.Layout arena, int n) {
    return new Saved(
        arena.active(n, size),
        arena.active(n, size),
        arena.active(n, norm.features()),
        norm.statistics(arena, n),
        intermediate.save(arena, n),
        output.save(arena, n));
  }

  void forward(Tensor h, Saved s, Tensor y, Linear.Scratch linear, boolean training) {
    intermediate.forward(h, s.inner, s.intermediate, linear, training);
    backend.activation(Activation.GELU, s.inner, s.active);
    output.forward(s.active, s.sum, s.output, linear, training);
    backend.add(s.sum, h, s.sum);
    norm.forward(s.sum, y, s.statistics);
  }

  /**
   * Writes dh.
   *
   * @param wide scratch [N, size]
   * @param sum scratch [N, d]
   */
  void backward(
      Tensor h, Saved s, Tensor dy, Tensor dh, Tensor wide, Tensor sum, Linear.Scratch linear) {
    norm.backward(s.sum, s.statistics, dy, sum);
    output.backward(s.active, s.output, sum, wide, false, linear);
    backend.activationBackward(Activation.GELU, s.inner, s.active, wide, wide);
    intermediate.backward(h, s.intermediate, wide, dh, false, linear);
    backend.add(dh, sum, dh);
  }
}
