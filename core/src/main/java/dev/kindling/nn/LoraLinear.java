package dev.kindling.nn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A frozen layer beside a trained low-rank pair (Hu et al., arXiv:2106.09685).
 *
 * <p>With s = alpha / r and x̃ = dropout(x) (x itself without dropout):
 *
 * <pre>
 *   y  [N, out] = x·wᵀ + bias + s·p·bᵀ,  p [N, r] = x̃·aᵀ
 *   z  [N, r]   = s·dy·b
 *   da [r, in]  = zᵀ·x̃                   db [out, r] = s·dyᵀ·p
 *   dx [N, in]  = dy·w + dropout(z·a)
 * </pre>
 *
 * @param w [out, in]
 * @param bias [out], or null
 * @param a [r, in]
 * @param b [out, r]
 * @param da gradient of a
 * @param db gradient of b
 * @param scale s
 * @param dropout share of x dropped before a, in training
 * @param number of the layer within the model, for its random masks
 */
record LoraLinear(
    Backend backend,
    FrozenMatrix w,
    @Nullable Tensor bias,
    Tensor a,
    Tensor b,
    Tensor da,
    Tensor db,
    double scale,
    double dropout,
    long number)
    implements Linear {
  @Override
  public boolean trains() {
    return true;
  }

  @Override
  public int rank() {
    return a.rows();
  }

  @Override
  public boolean drops() {
    return dropout > 0;
  }

  @Override
  public void forward(Tensor x, Tensor y, Saved saved, Scratch scratch, boolean training) {
    backend.linear(x, w, bias, y);
    Tensor dropped = training ? dropped(x, scratch) : x;
    Tensor p = projected(x, saved);
    backend.matmul(dropped, false, a, true, 1, 0, p); // [N, in]·[in, r]
    backend.matmul(p, false, b, true, scale, 1, y); // [N, r]·[r, out]
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
    Tensor z = scratch.z().slice(0, x.rows(), rank());
    backend.matmul(
        dy, true, projected(x, saved), false, scale, more ? 1 : 0, db); // [out, N]·[N, r]
    backend.matmul(dy, false, b, false, scale, 0, z); // [N, out]·[out, r]
    backend.matmul(z, true, dropped(x, scratch), false, 1, more ? 1 : 0, da); // [r, N]·[N, in]
    if (dx == null) {
      return;
    }
    backend.linearBackward(dy, w, dx, accumulate); // [N, out]·[out, in]
    if (!drops()) {
      backend.matmul(z, false, a, false, 1, 1, dx); // [N, r]·[r, in]
      return;
    }
    Tensor branch = scratch.x().slice(0, x.rows(), x.columns());
    backend.matmul(z, false, a, false, 1, 0, branch);
    backend.dropout(branch, scratch.keys(), number, dropout, branch);
    backend.add(dx, branch, dx);
  }

  /** The projection of these rows, which may be fewer than there is room for. */
  private Tensor projected(Tensor x, Saved saved) {
    return saved.p().rows() == x.rows() ? saved.p() : saved.p().slice(0, x.rows(), rank());
  }

  private Tensor dropped(Tensor x, Scratch scratch) {
    if (!drops()) {
      return x;
    }
    Tensor dropped = scratch.x().slice(0, x.rows(), x.columns());
    backend.dropout(x, scratch.keys(), number, dropout, dropped);
    return dropped;
  }
}
