package dev.kindling.model.gpt2;

import dev.kindling.model.Block;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Norm;
import dev.kindling.tensor.Activation;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * One decoder block, with norms before each half:
 *
 * <pre>
 *   h = x + out(attention(q, k, v)),      [q | k | v] = joined(norm(x))
 *   y = h + down(gelu(up(norm(h))))
 * </pre>
 *
 * @param hidden d
 * @param intermediate f
 */
record Gpt2Block(
    Backend backend,
    int hidden,
    int intermediate,
    Norm attentionNorm,
    Linear joined,
    Linear attentionOut,
    Norm feedNorm,
    Linear up,
    Linear down)
    implements Block<Gpt2Block.Saved, Gpt2Block.Scratch> {
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
      Tensor inner,
      Tensor active,
      Linear.Saved joinedPair,
      Linear.Saved outPair,
      Linear.Saved upPair,
      Linear.Saved downPair) {}

  /** Gradients that all blocks share; joined [N, 3·d] serves the forward too. */
  record Scratch(
      Tensor joined,
      Tensor wide,
      Tensor normed,
      Tensor h,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor attention) {}

  @Override
  public boolean trains() {
    return joined.trains() || attentionOut.trains() || up.trains() || down.trains();
  }

  @Override
  public Saved save(Arena.Layout arena, AttentionShape shape) {
    int n = shape.batch() * shape.tokens();
    return new Saved(
        attentionNorm.save(arena, n),
        arena.active(n, hidden),
        arena.active(n, hidden),
        arena.active(n, hidden),
        arena.active(backend.attentionKept(shape)),
        arena.active(n, hidden),
        arena.active(n, hidden),
        feedNorm.save(arena, n),
        arena.active(n, intermediate),
        arena.active(n, intermediate),
        joined.save(arena, n),
        attentionOut.save(arena, n),
        up.save(arena, n),
        down.save(arena, n));
  }

  @Override
  public Scratch scratch(Arena.Layout arena, AttentionShape shape) {
    int n = shape.batch() * shape.tokens();
    return new Scratch(
        arena.active(n, 3L * hidden),
        arena.active(n, intermediate),
        arena.active(n, hidden),
        arena.active(n, hidden),
        arena.active(n, hidden),
        arena.active(n, hidden),
        arena.active(n, hidden),
        arena.real(backend.attentionScratch(shape)));
  }

  @Override
  public void forward(Pass pass, Tensor x, Saved s, Tensor y, Scratch scratch) {
    Linear.Scratch linear = pass.linear();
    boolean training = pass.training();
    attentionNorm.forward(x, s.attentionNorm);
    joined.forward(s.attentionNorm.y(), scratch.joined, s.joinedPair, linear, training);
    backend.takeColumns(scratch.joined, 0, s.q);
    backend.takeColumns(scratch.joined, hidden, s.k);
    backend.takeColumns(scratch.joined, 2 * hidden, s.v);
    pass.attend(backend, s.q, s.k, s.v, s.kept, s.context, scratch.attention);
    attentionOut.forward(s.context, s.h, s.outPair, linear, training);
    backend.add(s.h, x, s.h);

    feedNorm.forward(s.h, s.feedNorm);
    up.forward(s.feedNorm.y(), s.inner, s.upPair, linear, training);
    backend.activation(Activation.GELU_TANH, s.inner, s.active);
    down.forward(s.active, y, s.downPair, linear, training);
    backend.add(y, s.h, y);
  }

  @Override
  public void backward(Pass pass, Tensor x, Saved s, Tensor dy, @Nullable Tensor dx, Scratch g) {
    Linear.Scratch linear = pass.linear();
    down.backward(s.active, s.downPair, dy, g.wide, false, linear);
    backend.activationBackward(Activation.GELU_TANH, s.inner, s.active, g.wide, g.wide);
    up.backward(s.feedNorm.y(), s.upPair, g.wide, g.normed, false, linear);
    feedNorm.backward(s.h, s.feedNorm.statistics(), g.normed, g.h);
    backend.add(dy, g.h, dy); // now the gradient of h

    attentionOut.backward(s.context, s.outPair, dy, g.h, false, linear);
    pass.attendBackward(
        backend, s.q, s.k, s.v, s.kept, s.context, g.h, g.dq, g.dk, g.dv, g.attention);
    backend.putColumns(g.dq, 0, g.joined);
    backend.putColumns(g.dk, hidden, g.joined);
    backend.putColumns(g.dv, 2 * hidden, g.joined);
    Tensor dn = dx == null ? null : g.normed;
    joined.backward(s.attentionNorm.y(), s.joinedPair, g.joined, dn, false, linear);
    if (dx != null) {
      attentionNorm.backward(x, s.attentionNorm.statistics(), g.normed, dx);
      backend.add(dx, dy, dx);
    }
  }
}
