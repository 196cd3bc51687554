package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;

/**
 * y = w[ids], w trained in full: PEFT's {@code modules_to_save}. A head that was tied to it keeps
 * the frozen table, as in PEFT.
 *
 * @param w [rows, d]
 * @param dw gradient of w
 */
record TrainedEmbedding(Backend backend, Tensor w, Tensor dw) implements Embedding {
  @Override
  public boolean trains() {
    return true;
  }

  @Override
  public Saved save(Arena.Layout arena, int rows) {
    return new Saved(arena.active(rows, w.columns()), null);
  }

  @Override
  public void forward(Tensor ids, Tensor y, boolean accumulate, Saved saved) {
    backend.gatherRows(w, ids, accumulate ? saved.p() : y);
    if (accumulate) {
      backend.add(y, saved.p(), y);
    }
  }

  @Override
  public void backward(Tensor ids, Saved saved, Tensor dy) {
    backend.gatherRowsBackward(dy, ids, dw, false);
  }
}
