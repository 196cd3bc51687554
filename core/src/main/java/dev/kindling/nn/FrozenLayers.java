package dev.kindling.nn;

import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import java.util.Optional;
import java.util.function.Function;

/** The frozen weights that layers are built over, shared by all models over them. */
public interface FrozenLayers {
  /** The w [out, in] of a linear layer, or a table, by its name in files. */
  FrozenMatrix matrix(String name);

  /** A tensor that is no matrix: norms, biases. */
  Tensor tensor(String name);

  /** How gradients go on through the weight of a module, if not exactly. */
  default Optional<SampledWeight> sampled(String module) {
    return Optional.empty();
  }

  /** With exact gradients. */
  static FrozenLayers of(Function<String, FrozenMatrix> matrix, Function<String, Tensor> tensor) {
    return new FrozenLayers() {
      @Override
      public FrozenMatrix matrix(String name) {
        return matrix.apply(name);
      }

      @Override
      public Tensor tensor(String name) {
        return tensor.apply(name);
      }
    };
  }
}
