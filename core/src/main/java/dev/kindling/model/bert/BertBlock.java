package dev.kindling.model.bert;

import dev.kindling.model.Block;
import dev.kindling.nn.LayerNorm;
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
 * One encoder block with its norms after the residual sums:
 *
 * <pre>
 *   h = norm(x + out(attention(query(x), key(x), value(x))))
 *   y = norm(h + output(gelu(intermediate(h))))
 * </pre>
 *
 * @param reads query, key and value; of a classifier's last block key and value
 */
record BertBlock(
    Backend backend,
    SharedInput reads,
    Linear attentionOut,
    LayerNorm norm,
    BertFeedForward feedForward)
    implements Block<BertBlock.Saved, BertBlock.Scratch> {
  /** What the backward reads, besides the block's input. */
  record Saved(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor kept,
      Tensor context,
      Tensor sum,
      Norm.Saved h,
      SharedInput.Saved reads,
      Linear.Saved attentionOut,
      BertFeedForward.Saved feedForward) {}

  /** Gradients that all blocks share; free again after each block. */
  record Scratch(
      Tensor wide, Tensor sum, Tensor h, Tensor dq, Tensor dk, Tensor dv, Tensor attention) {}

  @Override
  public Scratch scratch(Arena.Layout arena, AttentionShape shape) {
    int n = shape.batch() * shape.tokens();
    int d = shape.hidden();
    return new Scratch(
        arena.active(n, feedForward.size()),
        arena.active(n, d),
        arena.active(n, d),
        arena.active(n, d),
        arena.active(n, d),
        arena.active(n, d),
        arena.real(backend.attentionScratch(shape)));
  }

  @Override
  public boolean trains() {
    return reads.trains() || attentionOut.trains() || feedForward.trains();
  }

  @Override
  public Saved save(Arena.Layout arena, AttentionShape shape) {
    int n = shape.batch() * shape.tokens();
    int d = shape.hidden();
    return new Saved(
        arena.active(n, d),
        arena.active(n, d),
        arena.active(n, d),
        arena.active(backend.attentionKept(shape)),
        arena.active(n, d),
        arena.active(n, d),
        norm.save(arena, n),
        reads.save(arena, n),
        attentionOut.save(arena, n),
        feedForward.save(arena, n));
  }

  @Override
  public void forward(Pass pass, Tensor x, Saved s, Tensor y, Scratch scratch) {
    Linear.Scratch linear = pass.linear();
    boolean training = pass.training();
    reads.forward(x, List.of(s.q, s.k, s.v), s.reads, linear, training);
    pass.attend(backend, s.q, s.k, s.v, s.kept, s.context, scratch.attention);
    mix(x, s, y, linear, training);
  }

  /** From the attention's contexts on, token by token. */
  void mix(Tensor x, Saved s, Tensor y, Linear.Scratch linear, boolean training) {
    attentionOut.forward(s.context, s.sum, s.attentionOut, linear, training);
    backend.add(s.sum, x, s.sum);
    norm.forward(s.sum, s.h);
    feedForward.forward(s.h.y(), s.feedForward, y, linear, training);
  }

  @Override
  public void backward(Pass pass, Tensor x, Saved s, Tensor dy, @Nullable Tensor dx, Scratch g) {
    Linear.Scratch linear = pass.linear();
    mixBackward(s, dy, g.wide, g.h, g.sum, linear);
    pass.attendBackward(
        backend, s.q, s.k, s.v, s.kept, s.context, dy, g.dq, g.dk, g.dv, g.attention);
    reads.backward(x, s.reads, List.of(g.dq, g.dk, g.dv), dx, linear);
    if (dx != null) {
      backend.add(dx, g.sum, dx);
    }
  }

  /**
   * The backward of {@link #mix}: dy becomes the gradient of the contexts, sum that of x + out(…).
   */
  void mixBackward(Saved s, Tensor dy, Tensor wide, Tensor dh, Tensor sum, Linear.Scratch linear) {
    feedForward.backward(s.h.y(), s.feedForward, dy, dh, wide, sum, linear);
    norm.backward(s.sum, s.h.statistics(), dh, sum);
    attentionOut.backward(s.context, s.attentionOut, sum, dy, false, linear);
  }
}
