package dev.kindling.model;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.LinearModule.Kind;
import dev.kindling.lora.Parameter;
import dev.kindling.nn.FrozenLayers;
import dev.kindling.nn.SampledWeight;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The base's tensors in backend memory, by Hugging Face name; shared by all tasks, changed by
 * {@link #add} alone.
 */
public final class FrozenWeights implements AutoCloseable, FrozenLayers {
  private final Map<String, Tensor> tensors;
  private final Map<String, FrozenMatrix> matrices;
  private final Runnable free;
  private Map<String, SampledWeight> sampled = Map.of();
  private Runnable freeSampled = () -> {};

  private FrozenWeights(
      Map<String, Tensor> tensors, Map<String, FrozenMatrix> matrices, Runnable free) {
    this.free = free;
    this.tensors = tensors;
    this.matrices = matrices;
  }

  /** A tensor that is no matrix: norms, biases. */
  @Override
  public Tensor tensor(String name) {
    return known(tensors.get(name), name);
  }

  /** The prepared w [out, in] of a linear layer, or a table. */
  @Override
  public FrozenMatrix matrix(String name) {
    return known(matrices.get(name), name);
  }

  @Override
  public Optional<SampledWeight> sampled(String module) {
    return Optional.ofNullable(sampled.get(module));
  }

  /**
   * Takes apart the weights that gradients go on through in part; before any model is built.
   *
   * @param backend that made them
   * @param modules of the model
   * @param layout of the trainables
   */
  public void sample(Backend backend, List<LinearModule> modules, AdapterLayout layout) {
    sampled = SampledWeights.of(backend, modules, layout, this::matrix);
    freeSampled = () -> sampled.values().forEach(s -> s.release(backend));
  }

  /** The same without memory, where the weights have none. */
  public void planSampling(Backend backend, List<LinearModule> modules, AdapterLayout layout) {
    sampled = SampledWeights.unplaced(backend, modules, layout, this::matrix);
  }

  /**
   * Adds a change to the weights, for every model over them.
   *
   * @param backend that made them
   * @param modules of the model
   * @param layout of the trainables
   */
  public void add(
      Backend backend, List<LinearModule> modules, AdapterLayout layout, BaseChange change) {
    Map<String, LinearModule> byName = new HashMap<>();
    modules.forEach(module -> byName.put(module.name(), module));
    List<Parameter> pairs = layout.pairs(change.rank()).parameters();
    for (int p = 0; p < pairs.size(); p += 2) { // A, then B
      LinearModule module = byName.get(pairs.get(p).module());
      double scale = layout.scale(module.name());
      boolean table = module.kind() == Kind.EMBEDDING;
      Tensor down = placed(backend, pairs.get(p), change.factors());
      Tensor up = placed(backend, pairs.get(p + 1), change.factors());
      try {
        // Of a layer [out, r]·[r, in], of a table [rows, r]·[features, r]ᵀ.
        backend.change(matrix(module.weight()), table ? down : up, table ? up : down, table, scale);
      } finally {
        backend.free(down);
        backend.free(up);
      }
    }
  }

  private static Tensor placed(Backend backend, Parameter p, float[] vector) {
    Tensor tensor = backend.allocate(backend.real(), p.shape());
    backend.write(tensor, 0, vector, p.offset(), p.elements());
    return tensor;
  }

  /** Frees the memory; no model may use it any more. */
  @Override
  public void close() {
    freeSampled.run();
    matrices.values().forEach(FrozenMatrix::release);
    free.run();
  }

  /** Bytes of backend memory. */
  public long bytes() {
    return matrices.values().stream().mapToLong(FrozenMatrix::bytes).sum()
        + tensors.values().stream().mapToLong(t -> t.elements() * t.type().bytes()).sum()
        + sampledBytes();
  }

  /** Those of them that are arrangements made for products, and parts that gradients go through. */
  public long packedBytes() {
    return matrices.values().stream().mapToLong(FrozenMatrix::packedBytes).sum() + sampledBytes();
  }

  private long sampledBytes() {
    return sampled.values().stream().mapToLong(SampledWeight::bytes).sum();
  }

  /** The most that a product with any of them needs for itself. */
  public long scratchBytes() {
    return matrices.values().stream().mapToLong(FrozenMatrix::scratchBytes).max().orElse(0);
  }

  private static <T> T known(@Nullable T value, String name) {
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
    private final Storage storage;
    private final Map<String, Tensor> staged = new HashMap<>();
    private final Map<String, FrozenMatrix> coded = new HashMap<>();

    /**
     * @param storage how matrices are kept
     */
    public Loader(Backend backend, List<WeightSlot> slots, Storage storage) {
      this.backend = backend;
      this.slots = slots;
      this.storage = storage;
    }

    /**
     * Decodes a piece of a tensor, from its stored element {@code from} on; pieces come in order.
     * What is stored transposed is turned, and what is to be codes is rounded, when its last piece
     * is in, so that one tensor at most is held twice.
     */
    public void accept(WeightSlot slot, long from, ByteBuffer bytes, StoredType type) {
      if (slot.coded(storage)) {
        code(slot, from, bytes, type);
        return;
      }
      DType kept = kept(backend, slot, type, storage);
      Tensor target =
          tensors.computeIfAbsent(slot.name(), n -> backend.allocate(kept, slot.shape()));
      if (!slot.transposed()) {
        backend.decode(target, from, bytes, type);
        return;
      }
      Tensor stored =
          staged.computeIfAbsent(slot.name(), n -> backend.allocate(kept, slot.storedShape()));
      long count = bytes.remaining() / type.bytes();
      backend.decode(stored, from, bytes, type);
      if (from + count == target.elements()) {
        backend.transpose(stored, target);
        backend.free(staged.remove(slot.name()));
      }
    }

    private void code(WeightSlot slot, long from, ByteBuffer bytes, StoredType type) {
      Tensor stored =
          staged.computeIfAbsent(
              slot.name(), n -> backend.allocate(backend.real(), slot.storedShape()));
      long count = bytes.remaining() / type.bytes();
      backend.decode(stored, from, bytes, type);
      if (from + count == stored.elements()) {
        FrozenMatrix matrix = empty(backend, slot, storage);
        coded.put(slot.name(), matrix);
        backend.code(stored, matrix);
        backend.free(staged.remove(slot.name()));
      }
    }

    /** Call once, after every piece has come. */
    public FrozenWeights finish() {
      return frozen(backend, slots, tensors, coded, this::free);
    }

    /** Gives up: frees what has come so far. */
    public void abandon() {
      staged.values().forEach(backend::free);
      coded.values().forEach(FrozenMatrix::release);
      free();
    }

    private void free() {
      tensors.values().forEach(backend::free);
      tensors.clear();
    }
  }

  /**
   * Weights without memory, to plan a model with.
   *
   * @param stored the type that each slot is stored in
   */
  public static FrozenWeights unplaced(
      Backend backend, Map<WeightSlot, StoredType> stored, Storage storage) {
    Map<String, Tensor> tensors = new HashMap<>();
    Map<String, FrozenMatrix> coded = new HashMap<>();
    stored.forEach(
        (slot, type) -> {
          if (slot.coded(storage)) {
            coded.put(slot.name(), empty(backend, slot, storage));
          } else {
            DType kept = kept(backend, slot, type, storage);
            tensors.put(slot.name(), Arena.unplaced(kept, slot.shape()));
          }
        });
    return frozen(backend, List.copyOf(stored.keySet()), tensors, coded, () -> {});
  }

  /**
   * The most that loading such weights holds beside what stays, in bytes: one tensor, as it is
   * stored.
   */
  public static long loadingBytes(
      Backend backend, Map<WeightSlot, StoredType> stored, Storage storage) {
    long most = 0;
    for (Map.Entry<WeightSlot, StoredType> e : stored.entrySet()) {
      WeightSlot slot = e.getKey();
      boolean coded = slot.coded(storage);
      if (coded || slot.transposed()) {
        DType staged = coded ? backend.real() : kept(backend, slot, e.getValue(), storage);
        most = Math.max(most, Tensor.elements(slot.shape()) * staged.bytes());
      }
    }
    return most;
  }

  private static FrozenMatrix empty(Backend backend, WeightSlot slot, Storage storage) {
    return backend.coded(
        storage,
        slot.transposed(),
        Math.toIntExact(slot.shape()[0]),
        Math.toIntExact(slot.shape()[1]));
  }

  private static DType kept(Backend backend, WeightSlot slot, StoredType type, Storage storage) {
    return slot.matrix() ? backend.frozen(type, storage) : backend.real();
  }

  /**
   * Elements of all layers in blocks up to which they may be held in arrangements beside each
   * other: 1 GiB in bf16, 3 with two of them. Of a larger model memory is what there is too little
   * of.
   */
  private static final long COPIED = 1 << 29;

  private static FrozenMatrix.Use use(WeightSlot slot, boolean copied) {
    return switch (slot.use()) {
      case VECTOR, MATRIX -> FrozenMatrix.Use.TABLE;
      case BLOCK -> copied ? FrozenMatrix.Use.LAYER : FrozenMatrix.Use.TABLE;
      case HEAD -> FrozenMatrix.Use.HEAD;
    };
  }

  private static FrozenWeights frozen(
      Backend backend,
      List<WeightSlot> slots,
      Map<String, Tensor> loaded,
      Map<String, FrozenMatrix> coded,
      Runnable free) {
    Map<String, Tensor> tensors = new HashMap<>();
    Map<String, FrozenMatrix> matrices = new HashMap<>(coded);
    long layers =
        slots.stream()
            .filter(slot -> slot.use() == WeightSlot.Use.BLOCK)
            .mapToLong(slot -> Tensor.elements(slot.shape()))
            .sum();
    for (WeightSlot slot : slots) {
      if (coded.containsKey(slot.name())) {
        continue;
      }
      Tensor tensor = known(loaded.get(slot.name()), slot.name());
      if (slot.matrix()) {
        matrices.put(slot.name(), backend.freeze(tensor, use(slot, layers <= COPIED)));
      } else {
        tensors.put(slot.name(), tensor);
      }
    }
    return new FrozenWeights(tensors, matrices, free);
  }
}
