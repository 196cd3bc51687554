package dev.kindling.nn;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Halves;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.LinearModule.Kind;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: one task's flat vector of trainables and their gradients in backend memory, the layers
 * that are views of them, and the memory of steps over them. Where the backend multiplies in a
 * narrower type than it learns in, products read a rounded copy.
 */
public final class Trainables implements AutoCloseable {
  private final Backend backend;
  private final AdapterLayout layout;
  private final PlanChooser chooser;
  private final PlanRules rules;
  private final Map<PairShape, PairPlan> plans = new HashMap<>();
  private final List<Sampled> sampled = new ArrayList<>();
  private final Tensor values;
  private final Tensor operands;
  private final Tensor gradients;
  private final Arena arena;

  /** Of layers that learn theirs; null if none does. */
  private final @Nullable RowLengths lengths;

  private final Halves halves;
  private final boolean owner;

  /** Plans with the fewest operations. */
  public Trainables(Backend backend, AdapterLayout layout) {
    this(backend, layout, new PlanChooser.FewestFlops());
  }

  /**
   * @param chooser in which order the products of pairs are formed
   */
  public Trainables(Backend backend, AdapterLayout layout, PlanChooser chooser) {
    this(backend, layout, chooser, Halves.BOTH);
  }

  /**
   * @param halves of pairs whose gradients are wanted; those of the others are zero
   */
  public Trainables(Backend backend, AdapterLayout layout, PlanChooser chooser, Halves halves) {
    this(
        backend,
        layout,
        chooser,
        halves,
        backend.allocate(backend.real(), layout.elements()),
        backend.active() == backend.real()
            ? null
            : backend.allocate(backend.active(), layout.elements()),
        backend.allocate(backend.real(), layout.elements()),
        new Arena(backend),
        layout.settings().magnitudes() ? RowLengths.of(backend, layout) : null,
        true);
  }

  private Trainables(
      Backend backend,
      AdapterLayout layout,
      PlanChooser chooser,
      Halves halves,
      Tensor values,
      @Nullable Tensor rounded,
      Tensor gradients,
      Arena arena,
      @Nullable RowLengths lengths,
      boolean owner) {
    this.backend = backend;
    this.layout = layout;
    this.chooser = chooser;
    this.halves = halves;
    this.rules = new PlanRules(layout.settings().dropout() > 0, backend.rounds());
    this.values = values;
    this.operands = rounded == null ? values : rounded;
    this.gradients = gradients;
    this.arena = arena;
    this.lengths = lengths;
    this.owner = owner;
  }

  /**
   * The first ranks of the pairs and all that is trained in full, in the memory of these: either
   * may be in use, not both at a time. Not to be closed.
   */
  public Trainables prefix(AdapterLayout narrow) {
    long n = narrow.elements();
    return new Trainables(
        backend,
        narrow,
        chooser,
        halves,
        values.slice(0, n),
        operands == values ? null : operands.slice(0, n),
        gradients.slice(0, n),
        arena,
        lengths,
        false);
  }

  /** Where the steps of models over these trainables lie. */
  public Arena arena() {
    return arena;
  }

  /** Trainables without memory, to plan a model with; not to be closed. */
  public static Trainables unplaced(Backend backend, AdapterLayout layout, PlanChooser chooser) {
    return unplaced(backend, layout, chooser, Halves.BOTH);
  }

  /**
   * The same.
   *
   * @param halves of pairs whose gradients are wanted
   */
  public static Trainables unplaced(
      Backend backend, AdapterLayout layout, PlanChooser chooser, Halves halves) {
    Tensor none = Arena.unplaced(backend.real(), layout.elements());
    Tensor rounded = Arena.unplaced(backend.active(), layout.elements());
    RowLengths lengths =
        layout.settings().magnitudes() ? RowLengths.unplaced(backend, layout) : null;
    Arena arena = new Arena(backend);
    return new Trainables(
        backend, layout, chooser, halves, none, rounded, none, arena, lengths, false);
  }

  /** Bytes of backend memory: values, their rounded copy if there is one, gradients, lengths. */
  public long bytes() {
    long rounded = backend.active() == backend.real() ? 0 : backend.active().bytes();
    long vectors = layout.elements() * (2L * backend.real().bytes() + rounded);
    return vectors + (lengths == null ? 0 : lengths.bytes());
  }

  /** Overwrites all trainables. */
  public void load(float[] vector) {
    if (vector.length != layout.elements()) {
      throw new IllegalArgumentException(
          vector.length + " trainables for a layout of " + layout.elements());
    }
    backend.write(values, 0, vector, 0, layout.elements());
    if (operands != values) {
      backend.convert(values, operands);
    }
    if (lengths != null) {
      lengths.forget();
    }
    sampled.forEach(s -> s.choose(backend, vector));
  }

  /** Begins to copy all gradients out. */
  public Backend.Arriving fetchGradients(float[] into) {
    return backend.fetch(gradients, into);
  }

  /** For tests: the flat vector itself. */
  public Tensor values() {
    return values;
  }

  /** For tests: the flat gradient itself. */
  public Tensor gradients() {
    return gradients;
  }

  /**
   * The layer for a module: trained in full, adapted or frozen, as the layout says.
   *
   * @param number of the layer within the model, for random masks
   * @param weights frozen ones
   */
  public Linear linear(LinearModule module, long number, FrozenLayers weights) {
    Optional<Parameter> whole = layout.find(module.name(), Role.WEIGHT);
    if (whole.isPresent()) {
      Parameter w = whole.get();
      Optional<Parameter> bias = layout.find(module.name(), Role.BIAS);
      return new TrainedLinear(
          backend,
          view(operands, w),
          bias.map(b -> view(values, b)).orElse(null),
          view(gradients, w),
          bias.map(b -> view(gradients, b)).orElse(null));
    }
    FrozenMatrix w = weights.matrix(module.weight());
    Tensor bias = module.bias() ? weights.tensor(module.name() + ".bias") : null;
    if (layout.find(module.name(), Role.A).isEmpty()) {
      return new FrozenLinear(backend, w, bias);
    }
    Optional<Parameter> magnitude = layout.find(module.name(), Role.MAGNITUDE);
    Sampled own = weights.sampled(module.name()).map(s -> sampled(module, s)).orElse(null);
    LoraLinear pair = pair(module, number, w, magnitude.isPresent() ? null : bias, own);
    return magnitude.isEmpty()
        ? pair
        : new DoraLinear(
            backend,
            module.name(),
            pair,
            bias,
            view(values, magnitude.get()),
            view(gradients, magnitude.get()),
            Objects.requireNonNull(lengths),
            givesLogits(module) ? backend.real() : backend.active());
  }

  /** Or may: of a classifier's layers the last one does. */
  private static boolean givesLogits(LinearModule module) {
    return module.kind() == Kind.VOCABULARY || module.kind() == Kind.HEAD;
  }

  private Sampled sampled(LinearModule module, SampledWeight weight) {
    Parameter marks = layout.find(module.name(), Role.SELECTION).orElseThrow();
    Sampled own = new Sampled(weight, view(gradients, marks), marks.offset());
    sampled.add(own);
    return own;
  }

  private LoraLinear pair(
      LinearModule module,
      long number,
      FrozenMatrix w,
      @Nullable Tensor bias,
      @Nullable Sampled own) {
    Parameter a = layout.find(module.name(), Role.A).orElseThrow();
    Parameter b = layout.find(module.name(), Role.B).orElseThrow();
    return new LoraLinear(
        backend,
        w,
        bias,
        view(operands, a),
        view(operands, b),
        view(gradients, a),
        view(gradients, b),
        layout.scale(module.name()),
        layout.settings().dropout(),
        number,
        halves,
        own,
        this::plan);
  }

  /** Chosen once: layers of the same sizes ask again and again. */
  private PairPlan plan(PairShape shape) {
    return plans.computeIfAbsent(shape, sizes -> chooser.choose(sizes, rules.over(sizes)));
  }

  /** The table for a module: trained in full, adapted or frozen, as the layout says. */
  public Embedding embedding(LinearModule module, Function<String, FrozenMatrix> matrix) {
    Optional<Parameter> whole = layout.find(module.name(), Role.WEIGHT);
    if (whole.isPresent()) {
      return new TrainedEmbedding(
          backend, view(operands, whole.get()), view(gradients, whole.get()));
    }
    FrozenMatrix table = matrix.apply(module.weight());
    Optional<Parameter> down = layout.find(module.name(), Role.EMBEDDING_A);
    if (down.isEmpty()) {
      return new FrozenEmbedding(backend, table);
    }
    Parameter a = down.get();
    Parameter b = layout.find(module.name(), Role.EMBEDDING_B).orElseThrow();
    return new LoraEmbedding(
        backend,
        table,
        view(operands, a),
        view(operands, b),
        view(gradients, a),
        view(gradients, b),
        layout.scale(module.name()),
        halves);
  }

  /** All linear layers of a model by name, numbered in order. */
  public Map<String, Linear> linears(List<LinearModule> modules, FrozenLayers weights) {
    Map<String, Linear> linears = new HashMap<>();
    for (LinearModule module : modules) {
      if (module.kind() != Kind.EMBEDDING) {
        linears.put(module.name(), linear(module, linears.size(), weights));
      }
    }
    return linears;
  }

  private static Tensor view(Tensor vector, Parameter p) {
    return vector.slice(p.offset(), p.shape());
  }

  @Override
  public void close() {
    if (!owner) {
      return;
    }
    arena.close();
    if (lengths != null) {
      lengths.close();
    }
    if (operands != values) {
      backend.free(operands);
    }
    backend.free(values);
    backend.free(gradients);
  }
}
