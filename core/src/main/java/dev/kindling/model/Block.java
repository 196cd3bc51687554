package dev.kindling.model;

import dev.kindling.nn.Linear;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * One transformer block of a family.
 *
 * @param <S> what its backward reads, besides the block's input
 * @param <G> scratch that all blocks share, free again after each block
 */
public interface Block<S, G> {
  /**
   * One walk through the blocks.
   *
   * @param positions I32 [N]
   * @param starts I32 [N], first key that each token looks at
   * @param ends I32 [N], one past the last key that each token looks at
   * @param linear scratch of the linear layers
   * @param training whether dropout applies
   * @param past keys and values of earlier tokens; null if there are none to keep
   */
  record Pass(
      AttentionShape shape,
      Tensor positions,
      Tensor starts,
      Tensor ends,
      Linear.Scratch linear,
      boolean training,
      @Nullable Past past) {
    /** The same walk as the continuation of a sequence. */
    public Pass after(Past earlier) {
      return new Pass(shape, positions, starts, ends, linear, training, earlier);
    }

    /**
     * Attention of these tokens to each other, or to all that the past holds once their own keys
     * and values are in it.
     */
    public void attend(
        Backend backend,
        Tensor q,
        Tensor k,
        Tensor v,
        Tensor kept,
        Tensor context,
        Tensor scratch) {
      Tensor keys = past == null ? k : past.append(backend, past.keys, k);
      Tensor values = past == null ? v : past.append(backend, past.values, v);
      backend.attention(shape, q, keys, values, starts, ends, kept, context, scratch);
    }

    /** Backward of {@link #attend}, without a past. */
    public void attendBackward(
        Backend backend,
        Tensor q,
        Tensor k,
        Tensor v,
        Tensor kept,
        Tensor context,
        Tensor dcontext,
        Tensor dq,
        Tensor dk,
        Tensor dv,
        Tensor scratch) {
      backend.attentionBackward(
          shape, q, k, v, starts, ends, kept, context, dcontext, dq, dk, dv, scratch);
    }
  }

  /**
   * Keys and values of one sequence in one block, kept while it is continued.
   *
   * @param keys [capacity, kvHidden]
   * @param values the same
   * @param tokens rows that hold something already
   */
  record Past(Tensor keys, Tensor values, int tokens) {
    private Tensor append(Backend backend, Tensor all, Tensor fresh) {
      int d = all.columns();
      backend.takeColumns(fresh, 0, all.slice((long) tokens * d, fresh.rows(), d));
      return all.slice(0, tokens + fresh.rows(), d);
    }
  }

  /** Whether anything here learns. */
  boolean trains();

  /** Takes what a step keeps. */
  S save(Arena.Layout arena, AttentionShape shape);

  /** Takes what blocks share. */
  G scratch(Arena.Layout arena, AttentionShape shape);

  /** Writes the block's output y. */
  void forward(Pass pass, Tensor x, S saved, Tensor y, G scratch);

  /**
   * Writes the gradients of the block's layers.
   *
   * @param dy gradient of the block's output, overwritten
   * @param dx gradient of its input; null if nothing below learns
   */
  void backward(Pass pass, Tensor x, S saved, Tensor dy, @Nullable Tensor dx, G scratch);
}
