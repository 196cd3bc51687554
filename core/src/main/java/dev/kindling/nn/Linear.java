package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/** A linear layer x [N, in] → y [N, out]: frozen, frozen beside a low-rank pair, or trained. */
public sealed interface Linear permits FrozenLinear, LoraLinear, TrainedLinear {
  /**
   * What the backward reads besides x.
   *
   * @param p projection onto the rank [N, r]; null without a pair
   */
  record Saved(@Nullable Tensor p) {}

  /**
   * Scratch that layers share, free again after each call.
   *
   * @param z [N, largest r]
   * @param x [N, widest in], for dropped inputs; null without dropout
   * @param keys I64 [N], a key per row for random masks
   */
  record Scratch(Tensor z, @Nullable Tensor x, Tensor keys) {
    /** Takes the scratch of {@code n} rows, keys included. */
    public static Scratch take(Arena.Layout arena, int n, int rank, int widest, boolean drops) {
      return new Scratch(
          arena.active(n, Math.max(rank, 1)),
          drops ? arena.active(n, widest) : null,
          arena.take(DType.I64, n));
    }

    /** For a part of the rows. */
    Scratch part(int from, int rows) {
      return new Scratch(z, x, keys.slice(from, rows));
    }
  }

  /** Whether anything here learns. */
  boolean trains();

  /** Rank of the pair, 0 without one. */
  int rank();

  /** Whether inputs are dropped in training. */
  boolean drops();

  /** Takes what a step with {@code rows} rows keeps. */
  default Saved save(Arena.Layout arena, int rows) {
    return new Saved(rank() == 0 ? null : arena.active(rows, rank()));
  }

  /**
   * Writes y.
   *
   * @param training whether dropout applies
   */
  void forward(Tensor x, Tensor y, Saved saved, Scratch scratch, boolean training);

  /**
   * Writes this layer's gradients and, if wanted, dx; after a forward in training.
   *
   * @param dx null if nothing below learns
   * @param accumulate whether dx is added to
   * @param more whether the gradients are added to: for the later ones of a batch's parts
   */
  void backward(
      Tensor x,
      Saved saved,
      Tensor dy,
      @Nullable Tensor dx,
      boolean accumulate,
      Scratch scratch,
      boolean more);

  /** The backward of a whole batch. */
  default void backward(
      Tensor x, Saved saved, Tensor dy, @Nullable Tensor dx, boolean accumulate, Scratch scratch) {
    backward(x, saved, dy, dx, accumulate, scratch, false);
  }
}
