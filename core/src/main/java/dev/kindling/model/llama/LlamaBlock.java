package dev.kindling.model.llama;

import dev.kindling.model.Block;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Norm;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * One decoder block, with norms before each half:
 *
 * <pre>
 *   h = x + out(attention(rope(query(n)), rope(key(n)), value(n))),  n = norm(x)
 *   y = h + down(silu(gate(m)) · up(m)),                             m = norm(h)
 * </pre>
 */
record LlamaBlock(
    Backend backend,
    int hidden,
    int intermediate,
    double[] frequencies,
    Norm attentionNorm,
    Linear query,
    Linear key,
    Linear value,
    Linear attentionOut,
    Norm feedNorm,
    Linear gate,
    Linear up,
    Linear down)
    implements Block<LlamaBlock.Saved, LlamaBlock.Scratch> {
  /** What the backward reads, besides the block's input. */
  record Saved(
      Norm.Saved attentionNorm,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor kept,
      Tensor context,
      Tensor h,
      Norm.Saved feedNorm,
      Tensor gate,
      Tensor up,
      Tensor active,
      Linear.Saved queryPair,
      Linear.Saved keyPair,
      Linear.Saved valuePair,
      Linear.Saved outPair,
      Linear.Saved gatePair,
      Linear.Saved upPair,
      Linear.Saved downPair) {}

  /** Gradients that all blocks share; free again after each block, but for dx. */
  record Scratch(
      Tensor wide,
      Tensor wider,
      Tensor normed,
      Tensor h,
      Tensor context,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor attention) {}

  @Override
  public boolean trains() {
    return query.trains()
        || key.trains()
        || value.trains()
        || attentionOut.trains()
        || gate.trains()
        || up.trains()
        || down.trains();
  }

  @Override
  public Scratch scratch(Arena.Layout arena, AttentionShape shape) {
    int n = shape.batch() * shape.tokens();
    return new Scratch(
        arena.active(n, intermediate),
        arena.active(n, intermediate),
        arena.active(n, hidden),
        arena.active(n, hidden),
        arena.active(n, shape.hidden()),
        arena.active(n, shape.hidden()),
        arena.active(n, shape.kvHidden()),
        arena.active(n, shape.kvHidden()),
        arena.real(backend.attentionScratch(shape)));
  }

  @Override
  public Saved save(Arena.Layout arena, AttentionShape shape) {
    int n = shape.batch() * shape.tokens();
    int d = hidden;
    int f = intermediate;
    return new Saved(
        attentionNorm.save(arena, n),
        arena.active(n, shape.hidden()),
        arena.active(n, shape.kvHidden()),
        arena.active(n, shape.kvHidden()),
        arena.active(backend.attentionKept(shape)),
        arena.active(n, shape.hidden()),
        arena.active(n, d),
        feedNorm.save(arena, n),
        arena.active(n, f),
        arena.active(n, f),
        arena.active(n, f),
        query.save(arena, n),
        key.save(arena, n),
        value.save(arena, n),
        attentionOut.save(arena, n),
        gate.save(arena, n),
        up.save(arena, n),
        down.save(arena, n));
  }

  @Override
  public void forward(Pass pass, Tensor x, Saved s, Tensor y, Scratch scratch) {
    Linear.Scratch linear = pass.linear();
    boolean training = pass.training();
    attentionNorm.forward(x, s.attentionNorm);
    Tensor n = s.attentionNorm.y();
    query.forward(n, s.q, s.queryPair, linear, training);
    key.forward(n, s.k, s.keyPair, linear, training);
    value.forward(n, s.v, s.valuePair, linear, training);
    backend.rope(s.q, pass.positions(), frequencies, false);
    backend.rope(s.k, pass.positions(), frequencies, false);
    pass.attend(backend, s.q, s.k, s.v, s.kept, s.context, scratch.attention);
    attentionOut.forward(s.context, s.h, s.outPair, linear, training);
    backend.add(s.h, x, s.h);

    feedNorm.forward(s.h, s.feedNorm);
    Tensor m = s.feedNorm.y();
    gate.forward(m, s.gate, s.gatePair, linear, training);
    up.forward(m, s.up, s.upPair, linear, training);
    backend.swiGlu(s.gate, s.up, s.active);
    down.forward(s.active, y, s.downPair, linear, training);
    backend.add(y, s.h, y);
  }

  @Override
  public void backward(Pass pass, Tensor x, Saved s, Tensor dy, @Nullable Tensor dx, Scratch g) {
    Linear.Scratch linear = pass.linear();
    Tensor m = s.feedNorm.y();
    down.backward(s.active, s.downPair, dy, g.wide, false, linear);
    backend.swiGluBackward(s.gate, s.up, g.wide, g.wide, g.wider);
    gate.backward(m, s.gatePair, g.wide, g.normed, false, linear);
    up.backward(m, s.upPair, g.wider, g.normed, true, linear);
    feedNorm.backward(s.h, s.feedNorm.statistics(), g.normed, g.h);
    backend.add(dy, g.h, dy); // now the gradient of h

    Tensor n = s.attentionNorm.y();
    attentionOut.backward(s.context, s.outPair, dy, g.context, false, linear);
    pass.attendBackward(
        backend, s.q, s.k, s.v, s.kept, s.context, g.context, g.dq, g.dk, g.dv, g.attention);
    backend.rope(g.dq, pass.positions(), frequencies, true);
    backend.rope(g.dk, pass.positions(), frequencies, true);
    Tensor dn = dx == null ? null : g.normed;
    query.backward(n, s.queryPair, g.dq, dn, false, linear);
    key.backward(n, s.keyPair, g.dk, dn, true, linear);
    value.backward(n, s.valuePair, g.dv, dn, true, linear);
    if (dx != null) {
      attentionNorm.backward(x, s.attentionNorm.statistics(), g.normed, dx);
      backend.add(dx, dy, dx);
    }
  }
}
