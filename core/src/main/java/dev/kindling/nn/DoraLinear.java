package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A low-rank layer whose rows have lengths of their own (DoRA, Liu et al., arXiv:2402.09353): with
 * u [N, out] = x·wᵀ + s·x̃·aᵀ·bᵀ, what the pair computes by whatever plan, and l [out] the lengths
 * of the rows of w + s·b·a,
 *
 * <pre>
 *   y = u·m/l + bias
 *   du = dy·m/l      dm [out] = Σ dy∘u / l
 * </pre>
 *
 * <p>As the paper (section 4.3) and PEFT, l is a constant to the gradient. Dropout acts on the
 * pair's inputs alone; PEFT's acts on w's too, in so far as m/l differs from 1.
 *
 * @param pair without a bias
 * @param bias [out], or null
 * @param m magnitudes [out]
 * @param dm gradient of m
 * @param type of u: real where y is, for logits would be rounded twice
 */
record DoraLinear(
    Backend backend,
    String module,
    LoraLinear pair,
    @Nullable Tensor bias,
    Tensor m,
    Tensor dm,
    RowLengths lengths,
    DType type)
    implements Linear {
  @Override
  public boolean trains() {
    return true;
  }

  /** The gradient of u, and behind it what the pair takes. */
  @Override
  public long scratch(int rows) {
    return (long) rows * pair.w().out() + pair.scratch(rows);
  }

  @Override
  public Saved save(Arena.Layout arena, int rows) {
    return pair.save(arena, rows).with(arena.take(type, rows, pair.w().out()));
  }

  private Tensor lengthsNow() {
    return lengths.of(module, pair.w(), pair.a(), pair.b(), pair.scale());
  }

  private Tensor above(Scratch scratch, int rows) {
    return scratch.room().slice(0, rows, pair.w().out());
  }

  private Scratch behind(Scratch scratch, int rows) {
    return scratch.behind((long) rows * pair.w().out());
  }

  @Override
  public void forward(Tensor x, Tensor y, Saved saved, Scratch scratch, boolean training) {
    Tensor u = saved.u(x.rows());
    pair.forward(x, u, saved, behind(scratch, x.rows()), training);
    backend.scaleColumns(u, m, lengthsNow(), bias, y);
  }

  @Override
  public void backward(
      Tensor x,
      Saved saved,
      Tensor dy,
      @Nullable Tensor dx,
      boolean accumulate,
      Scratch scratch,
      boolean more) {
    Tensor l = lengthsNow();
    backend.dotColumns(dy, saved.u(x.rows()), l, dm, more);
    Tensor du = above(scratch, x.rows());
    backend.scaleColumns(dy, m, l, null, du);
    pair.backward(x, saved, du, dx, accumulate, behind(scratch, x.rows()), more);
  }
}
