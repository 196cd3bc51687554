package dev.kindling.model.bert;

import dev.kindling.model.Block.Pass;
import dev.kindling.nn.Linear;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The last block of a classifier, of which only the first token of each example is read: keys and
 * values of all N tokens, everything else for M first tokens alone. The numbers are those of the
 * whole block; of its products with frozen weights (12 d² a token where f = 4 d) 2 d² are left.
 *
 * @param block that reads keys and values
 * @param query of first tokens
 */
record BertSummary(BertBlock block, Linear query) {
  /**
   * Which tokens are read.
   *
   * @param shape of M queries over the keys of all N tokens
   * @param rows I32 [M], the tokens
   * @param starts I32 [M], where each one's example begins
   * @param ends I32 [M], one past where it ends
   * @param linear scratch of linear layers over M rows
   */
  record Firsts(
      AttentionShape shape, Tensor rows, Tensor starts, Tensor ends, Linear.Scratch linear) {
    static Firsts take(
        Arena.Layout arena, AttentionShape all, int examples, Collection<Linear> linear) {
      return new Firsts(
          all.over(1, examples, all.batch() * all.tokens()),
          arena.take(DType.I32, examples),
          arena.take(DType.I32, examples),
          arena.take(DType.I32, examples),
          Linear.Scratch.take(arena, examples, linear));
    }
  }

  /**
   * What the backward reads, besides the block's input.
   *
   * @param x the input's first tokens [M, d]
   * @param query of M rows
   * @param block of M rows, but for keys and values
   * @param y output [M, d]
   */
  record Saved(Tensor x, Linear.Saved query, BertBlock.Saved block, Tensor y) {}

  /** Gradients; free again afterwards. */
  record Scratch(
      Tensor wide,
      Tensor sum,
      Tensor h,
      Tensor dq,
      Tensor dx,
      Tensor dk,
      Tensor dv,
      Tensor dy,
      Tensor attention) {}

  boolean trains() {
    return query.trains() || block.trains();
  }

  Saved save(Arena.Layout arena, AttentionShape firsts) {
    int m = firsts.tokens();
    int n = firsts.keys();
    int d = firsts.hidden();
    return new Saved(
        arena.active(m, d),
        query.save(arena, m),
        new BertBlock.Saved(
            arena.active(m, d),
            arena.active(n, d),
            arena.active(n, d),
            arena.active(block.backend().attentionKept(firsts)),
            arena.active(m, d),
            arena.active(m, d),
            block.norm().save(arena, m),
            block.reads().save(arena, n),
            block.attentionOut().save(arena, m),
            block.feedForward().save(arena, m)),
        arena.active(m, d));
  }

  Scratch scratch(Arena.Layout arena, AttentionShape firsts) {
    int m = firsts.tokens();
    int n = firsts.keys();
    int d = firsts.hidden();
    return new Scratch(
        arena.active(m, block.feedForward().size()),
        arena.active(m, d),
        arena.active(m, d),
        arena.active(m, d),
        arena.active(m, d),
        arena.active(n, d),
        arena.active(n, d),
        arena.active(m, d),
        arena.real(block.backend().attentionScratch(firsts)));
  }

  /** From the block's input x [N, d] to {@code saved.y}. */
  void forward(Pass pass, Firsts firsts, Tensor x, Saved saved, Scratch scratch) {
    Backend backend = block.backend();
    BertBlock.Saved s = saved.block;
    Linear.Scratch few = firsts.linear;
    boolean training = pass.training();
    backend.gatherRows(x, firsts.rows, saved.x);
    query.forward(saved.x, s.q(), saved.query, few, training);
    block.reads().forward(x, List.of(s.k(), s.v()), s.reads(), pass.linear(), training);
    backend.attention(
        firsts.shape,
        s.q(),
        s.k(),
        s.v(),
        firsts.starts,
        firsts.ends,
        s.kept(),
        s.context(),
        scratch.attention);
    block.mix(saved.x, s, saved.y, few, training);
  }

  /**
   * Writes the gradients of the block's layers, from the gradient of {@code saved.y} in {@code
   * scratch.dy}, which is overwritten.
   *
   * @param dx gradient of the block's input [N, d]; null if nothing below learns
   */
  void backward(Pass pass, Firsts firsts, Tensor x, Saved saved, @Nullable Tensor dx, Scratch g) {
    Backend backend = block.backend();
    BertBlock.Saved s = saved.block;
    Linear.Scratch few = firsts.linear;
    block.mixBackward(s, g.dy, g.wide, g.h, g.sum, few);
    backend.attentionBackward(
        firsts.shape,
        s.q(),
        s.k(),
        s.v(),
        firsts.starts,
        firsts.ends,
        s.kept(),
        s.context(),
        g.dy,
        g.dq,
        g.dk,
        g.dv,
        g.attention);
    query.backward(saved.x, saved.query, g.dq, dx == null ? null : g.dx, false, few);
    block.reads().backward(x, s.reads(), List.of(g.dk, g.dv), dx, pass.linear());
    if (dx != null) {
      backend.add(g.dx, g.sum, g.dx);
      backend.gatherRowsBackward(g.dx, firsts.rows, dx, true);
    }
  }
}
