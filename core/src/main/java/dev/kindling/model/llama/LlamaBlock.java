package dev.kindling.model.llama;

import dev.kindling.model.Block;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Norm;
import dev.kindling.nn.SharedInput;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import java.util.List;
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
    SharedInput queryKeyValue,
    Linear attentionOut,
    Norm feedNorm,
    SharedInput gateUp,
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
      SharedInput.Saved queryKeyValue,
      Linear.Saved attentionOut,
      SharedInput.Saved gateUp,
      Linear.Saved down) {}

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
    return queryKeyValue.trains() || attentionOut.trains() || gateUp.trains() || down.trains();
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
        queryKeyValue.save(arena, n),
        attentionOut.save(arena, n),
        gateUp.save(arena, n),
        down.save(arena, n));
  }

  @Override
  public void forward(Pass pass, Tensor x, Saved s, Tensor y, Scratch scratch) {
    Linear.Scratch linear = pass.linear();
    boolean training = pass.training();
    attentionNorm.forward(x, s.attentionNorm);
    Tensor n = s.attentionNorm.y();
    queryKeyValue.forward(n, List.of(s.q, s.k, s.v), s.queryKeyValue, linear, training);
    backend.rope(s.q, pass.positions(), frequencies, false);
    backend.rope(s.k, pass.positions(), frequencies, false);
    pass.attend(backend, s.q, s.k, s.v, s.kept, s.context, scratch.attention);
    attentionOut.forward(s.context, s.h, s.attentionOut, linear, training);
    backend.add(s.h, x, s.h);

    feedNorm.forward(s.h, s.feedNorm);
    Tensor m = s.feedNorm.y();
    gateUp.forward(m, List.of(s.gate, s.up), s.gateUp, linear, training);
    backend.swiGlu(s.gate, s.up, s.active);
    down.forward(s.active, y, s.down, linear, training);
    backend.add(y, s.h, y);
  }

  @Override
  public void backward(Pass pass, Tensor x, Saved s, Tensor dy, @Nullable Tensor dx, Scratch g) {
    Linear.Scratch linear = pass.linear();
    Tensor m = s.feedNorm.y();
    down.backward(s.active, s.down, dy, g.wide, false, linear);
    backend.swiGluBackward(s.gate, s.up, g.wide, g.wide, g.wider);
    gateUp.backward(m, s.gateUp, List.of(g.wide, g.wider), g.normed, linear);
    feedNorm.backward(s.h, s.feedNorm.statistics(), g.normed, g.h);
    backend.add(dy, g.h, dy); // now the gradient of h

    Tensor n = s.attentionNorm.y();
    attentionOut.backward(s.context, s.attentionOut, dy, g.context, false, linear);
    pass.attendBackward(
        backend, s.q, s.k, s.v, s.kept, s.context, g.context, g.dq, g.dk, g.dv, g.attention);
    backend.rope(g.dq, pass.positions(), frequencies, true);
    backend.rope(g.dk, pass.positions(), frequencies, true);
    Tensor dn = dx == null ? null : g.normed;
    queryKeyValue.backward(n, s.queryKeyValue, List.of(g.dq, g.dk, g.dv), dn, linear);
    if (dx != null) {
      attentionNorm.backward(x, s.attentionNorm.statistics(), g.normed, dx);
      backend.add(dx, dy, dx);
    }
  }
}
