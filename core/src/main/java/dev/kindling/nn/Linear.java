package dev.kindling.nn;

import dev.kindling.lora.plan.PairPlan;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import java.util.Collection;
import org.jspecify.annotations.Nullable;

/** A linear layer x [N, in] → y [N, out]: frozen, frozen beside a low-rank pair, or trained. */
public sealed interface Linear extends UsesScratch
    permits DoraLinear, FrozenLinear, LoraLinear, TrainedLinear {
  /**
   * What the backward reads besides x.
   *
   * @param plan in which order a pair's products are formed; null without a pair
   * @param p projection onto the rank [N, r]; null if it is not kept
   * @param u what a pair's layer gives before its rows are given lengths [N, out]; null without
   */
  record Saved(@Nullable PairPlan plan, @Nullable Tensor p, @Nullable Tensor u) {
    /** Of a layer without a pair. */
    public static final Saved NOTHING = new Saved(null, null, null);

    Saved with(Tensor before) {
      return new Saved(plan, p, before);
    }

    /** The part for these rows, which may be fewer than there is room for. */
    Tensor u(int rows) {
      return u.rows() == rows ? u : u.slice(0, rows, u.columns());
    }
  }

  /**
   * Scratch that layers share, free again after each call.
   *
   * @param room active elements, as many as whoever needs most
   * @param sums real elements, likewise
   * @param keys I64 [N], a key per row for random masks
   */
  record Scratch(Tensor room, Tensor sums, Tensor keys) {
    /** Takes the scratch of {@code n} rows. */
    public static Scratch take(Arena.Layout arena, int n, Collection<? extends UsesScratch> users) {
      long room = users.stream().mapToLong(user -> user.scratch(n)).max().orElse(0);
      long sums = users.stream().mapToLong(UsesScratch::sums).max().orElse(0);
      return new Scratch(arena.active(room), arena.real(sums), arena.take(DType.I64, n));
    }

    /** For a part of the rows. */
    Scratch part(int from, int rows) {
      return new Scratch(room, sums, keys.slice(from, rows));
    }

    /** What lies behind the first elements of the room. */
    Scratch behind(long elements) {
      return new Scratch(room.slice(elements, room.elements() - elements), sums, keys);
    }
  }

  /** Whether anything here learns. */
  boolean trains();

  /** Takes what a step with {@code rows} rows keeps. */
  default Saved save(Arena.Layout arena, int rows) {
    return Saved.NOTHING;
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
