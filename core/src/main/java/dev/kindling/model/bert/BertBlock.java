package dev.kindling.model.bert;

import dev.kindling.nn.LayerNorm;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Norm;
import dev.kindling.tensor.Activation;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * One encoder block with its norms after the residual sums:
 *
 * <pre>
 *   h = norm(x + out(attention(query(x), key(x), value(x))))
 *   y = norm(h + output(gelu(intermediate(h))))
 * </pre>
 */
record BertBlock(
    Backend backend,
    Linear query,
    Linear key,
    Linear value,
    Linear attentionOut,
    LayerNorm attentionNorm,
    Linear intermediate,
    Linear output,
    LayerNorm outputNorm) {
  /** What the backward reads, besides the block's input. */
  record Saved(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor probabilities,
      Tensor context,
      Tensor attentionSum,
      Norm.Saved attention,
      Tensor inner,
      Tensor active,
      Tensor outSum,
      Norm.Saved out,
      Linear.Saved query,
      Linear.Saved key,
      Linear.Saved value,
      Linear.Saved attentionOut,
      Linear.Saved intermediate,
      Linear.Saved output) {
    /** The block's output [N, d]. */
    Tensor y() {
      return out.y();
    }
  }

  /** Gradients that all blocks share; free again after each block, but for dx. */
  record Scratch(
      Tensor wide, Tensor sum, Tensor h, Tensor dq, Tensor dk, Tensor dv, Tensor attention) {
    static Scratch take(
        Arena.Layout arena, AttentionShape shape, int intermediate, long attention) {
      int n = shape.batch() * shape.tokens();
      int d = shape.hidden();
      return new Scratch(
          arena.real(n, intermediate),
          arena.real(n, d),
          arena.real(n, d),
          arena.real(n, d),
          arena.real(n, d),
          arena.real(n, d),
          arena.real(attention));
    }
  }

  boolean trains() {
    return query.trains()
        || key.trains()
        || value.trains()
        || attentionOut.trains()
        || intermediate.trains()
        || output.trains();
  }

  Saved save(Arena.Layout arena, AttentionShape shape, int f) {
    int n = shape.batch() * shape.tokens();
    int d = shape.hidden();
    return new Saved(
        arena.real(n, d),
        arena.real(n, d),
        arena.real(n, d),
        arena.real(shape.batch(), shape.heads(), shape.tokens(), shape.tokens()),
        arena.real(n, d),
        arena.real(n, d),
        attentionNorm.save(arena, n),
        arena.real(n, f),
        arena.real(n, f),
        arena.real(n, d),
        outputNorm.save(arena, n),
        query.save(arena, n),
        key.save(arena, n),
        value.save(arena, n),
        attentionOut.save(arena, n),
        intermediate.save(arena, n),
        output.save(arena, n));
  }

  void forward(
      AttentionShape shape,
      Tensor x,
      Tensor lengths,
      Saved s,
      Scratch scratch,
      Linear.Scratch linear,
      boolean training) {
    query.forward(x, s.q, s.query, linear, training);
    key.forward(x, s.k, s.key, linear, training);
    value.forward(x, s.v, s.value, linear, training);
    backend.attention(shape, s.q, s.k, s.v, lengths, s.probabilities, s.context, scratch.attention);
    attentionOut.forward(s.context, s.attentionSum, s.attentionOut, linear, training);
    backend.add(s.attentionSum, x, s.attentionSum);
    attentionNorm.forward(s.attentionSum, s.attention);

    Tensor h = s.attention.y();
    intermediate.forward(h, s.inner, s.intermediate, linear, training);
    backend.activation(Activation.GELU, s.inner, s.active);
    output.forward(s.active, s.outSum, s.output, linear, training);
    backend.add(s.outSum, h, s.outSum);
    outputNorm.forward(s.outSum, s.out);
  }

  /**
   * @param dy gradient of the block's output, overwritten
   * @param dx gradient of its input; null if nothing below learns
   */
  void backward(
      AttentionShape shape,
      Tensor x,
      Saved s,
      Tensor dy,
      @Nullable Tensor dx,
      Scratch g,
      Linear.Scratch linear) {
    Tensor h = s.attention.y();
    outputNorm.backward(s.outSum, s.out, dy, g.sum); // of h + output(…)
    output.backward(s.active, s.output, g.sum, g.wide, false, linear);
    backend.activationBackward(Activation.GELU, s.inner, s.active, g.wide, g.wide);
    intermediate.backward(h, s.intermediate, g.wide, g.h, false, linear);
    backend.add(g.h, g.sum, g.h);

    attentionNorm.backward(s.attentionSum, s.attention, g.h, g.sum); // of x + out(…)
    attentionOut.backward(s.context, s.attentionOut, g.sum, dy, false, linear); // dy: now dcontext
    backend.attentionBackward(
        shape, s.q, s.k, s.v, s.probabilities, dy, g.dq, g.dk, g.dv, g.attention);
    query.backward(x, s.query, g.dq, dx, false, linear);
    key.backward(x, s.key, g.dk, dx, true, linear);
    value.backward(x, s.value, g.dv, dx, true, linear);
    if (dx != null) {
      backend.add(dx, g.sum, dx);
    }
  }
}
