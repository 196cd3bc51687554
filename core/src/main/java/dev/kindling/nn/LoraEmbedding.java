package dev.kindling.nn;

import dev.kindling.lora.Halves;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;

/**
 * A frozen table beside a trained low-rank pair, as PEFT adapts embeddings: with s = alpha / r,
 *
 * <pre>
 *   y  [N, d] = table[ids] + s·p·bᵀ,  p [N, r] = a[ids]
 *   db [d, r] = s·dyᵀ·p               da[ids] += s·dy·b
 * </pre>
 *
 * <p>A head that is tied to the table multiplies with the frozen table alone, in PEFT as here: its
 * own pair, if it is a target too, is another one.
 *
 * @param table [rows, d]
 * @param a [rows, r]
 * @param b [d, r]
 * @param da gradient of a
 * @param db gradient of b
 * @param scale s
 * @param halves whose gradients are wanted; that of the other is zero
 */
record LoraEmbedding(
    Backend backend,
    FrozenMatrix table,
    Tensor a,
    Tensor b,
    Tensor da,
    Tensor db,
    double scale,
    Halves halves)
    implements Embedding {
  @Override
  public boolean trains() {
    return true;
  }

  @Override
  public Saved save(Arena.Layout arena, int rows) {
    return new Saved(arena.active(rows, a.columns()), arena.active(rows, a.columns()));
  }

  @Override
  public void forward(Tensor ids, Tensor y, boolean accumulate, Saved saved) {
    backend.embed(ids, table, y, accumulate);
    backend.gatherRows(a, ids, saved.p());
    backend.matmul(saved.p(), false, b, true, scale, 1, y); // [N, r]·[r, d]
  }

  @Override
  public void backward(Tensor ids, Saved saved, Tensor dy) {
    if (halves.learn(Role.EMBEDDING_B)) {
      backend.matmul(dy, true, saved.p(), false, scale, 0, db); // [d, N]·[N, r]
    } else {
      backend.zero(db);
    }
    if (halves.learn(Role.EMBEDDING_A)) {
      backend.matmul(dy, false, b, false, scale, 0, saved.z()); // [N, d]·[d, r]
      backend.gatherRowsBackward(saved.z(), ids, da, false);
    } else {
      backend.zero(da);
    }
  }
}
