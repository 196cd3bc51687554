package dev.kindling.nn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;

/**
 * y = table[ids].
 *
 * @param table [rows, d]
 */
record FrozenEmbedding(Backend backend, FrozenMatrix table) implements Embedding {
  @Override
  public boolean trains() {
    return false;
  }

  @Override
  public void forward(Tensor ids, Tensor y, boolean accumulate, Saved saved) {
    backend.embed(ids, table, y, accumulate);
  }

  @Override
  public void backward(Tensor ids, Saved saved, Tensor dy) {
    // Nothing learns.
  }
}
