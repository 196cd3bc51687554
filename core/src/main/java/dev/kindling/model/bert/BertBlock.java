package dev.kindling.model.bert;

import dev.kindling.model.Block;
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
    int intermediateSize,
    Linear query,
    Linear key,
    Linear value,
    Linear attentionOut,
    LayerNorm attentionNorm,
    Linear intermediate,
    Linear output,
    LayerNorm outputNorm)
    implements Block<BertBlock.Saved, BertBlock.Scratch> {
  /** What the backward reads, besides the block's input. */
  record Saved(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor kept,
      Tensor context,
      Tensor attentionSum,
      Norm.Saved attention,
      Tensor inner,
      Tensor active,
      Tensor outSum,
      Tensor outStatistics,
      Linear.Saved query,
      Linear.Saved key,
      Linear.Saved value,
      Linear.Saved attentionOut,
      Linear.Saved intermediate,
      Linear.Saved output) {}

  /** Gradients that all blocks share; free again after each block. */
  record Scratch(
      Tensor wide, Tensor sum, Tensor h, Tensor dq, Tensor dk, Tensor dv, Tensor attention) {}

  @Override
  public Scratch scratch(Arena.Layout arena, AttentionShape shape) {
    int n = shape.batch() * shape.tokens();
    int d = shape.hidden();
    return new Scratch(
        arena.active(n, intermediateSize),
        arena.active(n, d),
        arena.active(n, d),
        arena.active(n, d),
        arena.active(n, d),
        arena.active(n, d),
        arena.real(backend.attentionScratch(shape)));
  }

  @Override
  public boolean trains() {
    return query.trains()
        || key.trains()
        || value.trains()
        || attentionOut.trains()
        || intermediate.trains()
        || output.trains();
  }

  @Override
  public Saved save(Arena.Layout arena, AttentionShape shape) {
    int f = intermediateSize;
    int n = shape.batch() * shape.tokens();
    int d = shape.hidden();
    return new Saved(
        arena.active(n, d),
        arena.active(n, d),
        arena.active(n, d),
        arena.active(backend.attentionKept(shape)),
        arena.active(n, d),
        arena.active(n, d),
        attentionNorm.save(arena, n),
        arena.active(n, f),
        arena.active(n, f),
        arena.active(n, d),
        outputNorm.statistics(arena, n),
        query.save(arena, n),
        key.save(arena, n),
        value.save(arena, n),
        attentionOut.save(arena, n),
        intermediate.save(arena, n),
        output.save(arena, n));
  }

  @Override
  public void forward(Pass pass, Tensor x, Saved s, Tensor y, Scratch scratch) {
    Linear.Scratch linear = pass.linear();
    boolean training = pass.training();
    query.forward(x, s.q, s.query, linear, training);
    key.forward(x, s.k, s.key, linear, training);
    value.forward(x, s.v, s.value, linear, training);
    pass.attend(backend, s.q, s.k, s.v, s.kept, s.context, scratch.attention);
    attentionOut.forward(s.context, s.attentionSum, s.attentionOut, linear, training);
    backend.add(s.attentionSum, x, s.attentionSum);
    attentionNorm.forward(s.attentionSum, s.attention);

    Tensor h = s.attention.y();
    intermediate.forward(h, s.inner, s.intermediate, linear, training);
    backend.activation(Activation.GELU, s.inner, s.active);
    output.forward(s.active, s.outSum, s.output, linear, training);
    backend.add(s.outSum, h, s.outSum);
    outputNorm.forward(s.outSum, y, s.outStatistics);
  }

  @Override
  public void backward(Pass pass, Tensor x, Saved s, Tensor dy, @Nullable Tensor dx, Scratch g) {
    Linear.Scratch linear = pass.linear();
    Tensor h = s.attention.y();
    outputNorm.backward(s.outSum, s.outStatistics, dy, g.sum); // of h + output(…)
    output.backward(s.active, s.output, g.sum, g.wide, false, linear);
    backend.activationBackward(Activation.GELU, s.inner, s.active, g.wide, g.wide);
    intermediate.backward(h, s.intermediate, g.wide, g.h, false, linear);
    backend.add(g.h, g.sum, g.h);

    attentionNorm.backward(s.attentionSum, s.attention.statistics(), g.h, g.sum); // of x + out(…)
    attentionOut.backward(s.context, s.attentionOut, g.sum, dy, false, linear); // dy: now dcontext
    pass.attendBackward(backend, s.q, s.k, s.v, s.kept, dy, g.dq, g.dk, g.dv, g.attention);
    query.backward(x, s.query, g.dq, dx, false, linear);
    key.backward(x, s.key, g.dk, dx, true, linear);
    value.backward(x, s.value, g.dv, dx, true, linear);
    if (dx != null) {
      backend.add(dx, g.sum, dx);
    }
  }
}
