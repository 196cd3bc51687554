package dev.kindling.model;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The base's tensors in backend memory, by Hugging Face name. Immutable; shared by all tasks. */
public final class FrozenWeights {
  private final Map<String, Tensor> tensors;
  private final Map<String, FrozenMatrix> matrices;

  private FrozenWeights(Map<String, Tensor> tensors, Map<String, FrozenMatrix> matrices) {
    this.tensors = tensors;
    this.matrices = matrices;
  }

  /** A tensor that is no linear layer's weight: embeddings, norms, biases. */
  public Tensor tensor(String name) {
    return known(tensors.get(name), name);
  }

  /** The prepared w [out, in] of a linear layer. */
  public FrozenMatrix matrix(String name) {
    return known(matrices.get(name), name);
  }

  private static <T> T known(T value, String name) {
    if (value == null) {
      throw new IllegalStateException(name + " is not in the weight table");
    }
    return value;
  }

  /**
   * Mutable: collects pieces of weights, from a file or from broadcasts, straight into backend
   * memory.
   */
  public static final class Loader {
    private final Backend backend;
    private final Map<String, Tensor> tensors = new HashMap<>();
    private final List<WeightSlot> slots;
    private final Map<String, Tensor> staged = new HashMap<>();

    public Loader(Backend backend, List<WeightSlot> slots) {
      this.backend = backend;
      this.slots = slots;
      for (WeightSlot slot : slots) {
        tensors.put(slot.name(), backend.allocate(backend.real(), slot.shape()));
      }
    }

    /**
     * Decodes a piece of a tensor, from its stored element {@code from} on; pieces come in order.
     * What is stored transposed is turned when its last piece is in, so that one tensor at most is
     * held twice.
     */
    public void accept(WeightSlot slot, long from, ByteBuffer bytes, StoredType type) {
      Tensor target = tensors.get(slot.name());
      if (!slot.transposed()) {
        backend.decode(target, from, bytes, type);
        return;
      }
      Tensor stored =
          staged.computeIfAbsent(
              slot.name(), n -> backend.allocate(backend.real(), slot.storedShape()));
      long count = bytes.remaining() / type.bytes();
      backend.decode(stored, from, bytes, type);
      if (from + count == target.elements()) {
        backend.transpose(stored, target);
        backend.free(staged.remove(slot.name()));
      }
    }

    /** Call once, after every piece has come. */
    public FrozenWeights finish() {
      Map<String, FrozenMatrix> matrices = new HashMap<>();
      for (WeightSlot slot : slots) {
        if (slot.matrix()) {
          matrices.put(slot.name(), backend.freeze(tensors.remove(slot.name())));
        }
      }
      return new FrozenWeights(Map.copyOf(tensors), matrices);
    }
  }
}
