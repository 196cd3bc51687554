package dev.kindling.tensor;

import dev.kindling.InvalidInput;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;

/**
 * Mutable: hands out the memory of one step after another from the same few blocks. The first step
 * of a larger shape grows the blocks; from then on a step allocates nothing.
 *
 * <p>A shape's tensors are laid out by a function that is run twice: once to measure, once to
 * place. Layouts of one arena overlap each other: only one is in use at a time.
 */
public final class Arena implements AutoCloseable {
  /** Elements; 64 bytes of F32, a cache line. */
  private static final long ALIGNMENT = 16;

  /** Stands for memory while a layout is measured; views of it are as unreal as itself. */
  private static final Memory UNPLACED =
      new Memory() {
        @Override
        public Memory slice(long from, long elements) {
          return this;
        }
      };

  /** A tensor without memory: to plan with. */
  public static Tensor unplaced(DType type, long... shape) {
    return new Tensor(type, UNPLACED, shape);
  }

  private final Backend backend;
  private final Map<DType, Tensor> blocks = new EnumMap<>(DType.class);
  private int generation;

  public Arena(Backend backend) {
    this.backend = backend;
  }

  /** Takes tensors one after another within one layout. */
  public final class Layout {
    private final EnumMap<DType, Long> used = new EnumMap<>(DType.class);
    private final boolean placing;
    private long activations;

    private Layout(boolean placing) {
      this.placing = placing;
    }

    /** Bytes taken so far. */
    public long bytes() {
      return used.entrySet().stream().mapToLong(e -> e.getValue() * e.getKey().bytes()).sum();
    }

    /** What each of the builders takes, all from the same memory: only one is in use at a time. */
    public <T> List<T> inTurn(List<Function<Layout, T>> builders) {
      Map<DType, Long> start = new EnumMap<>(used);
      Map<DType, Long> end = new EnumMap<>(used);
      List<T> built = new ArrayList<>();
      for (Function<Layout, T> builder : builders) {
        used.clear();
        used.putAll(start);
        built.add(builder.apply(this));
        used.forEach((type, elements) -> end.merge(type, elements, Math::max));
      }
      used.putAll(end);
      return built;
    }

    /** What is taken from here on is scratch: it need not last from forward to backward. */
    public void endOfActivations() {
      activations = bytes();
    }

    /** A tensor of activations, or of their gradients. */
    public Tensor active(long... shape) {
      return take(backend.active(), shape);
    }

    /** A tensor of the backend's real type: losses, statistics, scratch. */
    public Tensor real(long... shape) {
      return take(backend.real(), shape);
    }

    /** A tensor of any type; its elements are whatever the last step left there. */
    public Tensor take(DType type, long... shape) {
      long from = used.getOrDefault(type, 0L);
      long count = Tensor.elements(shape);
      if (count > backend.mostElements()) {
        throw new InvalidInput(
            "train.micro-batch-size",
            "a step needs a tensor " + new Tensor(type, UNPLACED, shape),
            String.format(
                Locale.ROOT,
                "at most %,d elements: compute fewer or shorter rows at once",
                backend.mostElements()));
      }
      used.put(type, from + (count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
      return placing ? blocks.get(type).slice(from, shape) : unplaced(type, shape);
    }
  }

  /**
   * Lays out a step. Earlier layouts stay valid unless {@link #generation} has changed.
   *
   * @param build takes all tensors that the step needs, the same ones each time it is called
   */
  public <T> T lay(Function<Layout, T> build) {
    Layout measured = new Layout(false);
    T unplaced = build.apply(measured);
    if (unplaced == null) {
      throw new IllegalArgumentException("a layout is a value");
    }
    measured.used.forEach(this::grow);
    return build.apply(new Layout(true));
  }

  /**
   * Bytes of a step.
   *
   * @param activations what lasts from forward to backward
   * @param scratch the rest
   */
  public record Size(long activations, long scratch) {
    /** Both. */
    public long total() {
      return activations + scratch;
    }
  }

  /** What a layout would need; places nothing. */
  public <T> Size measure(Function<Layout, T> build) {
    Layout measured = new Layout(false);
    T unplaced = build.apply(measured);
    if (unplaced == null) {
      throw new IllegalArgumentException("a layout is a value");
    }
    return new Size(measured.activations, measured.bytes() - measured.activations);
  }

  /** Grows with every reallocation; layouts made under a smaller number are dead. */
  public int generation() {
    return generation;
  }

  /** Bytes held now. */
  public long bytes() {
    return blocks.values().stream().mapToLong(b -> b.elements() * b.type().bytes()).sum();
  }

  private void grow(DType type, long elements) {
    Tensor block = blocks.get(type);
    if (block != null && block.elements() >= elements) {
      return;
    }
    if (block != null) {
      blocks.remove(type);
      generation++;
      backend.free(block);
    }
    blocks.put(type, backend.allocate(type, elements));
    generation++;
  }

  @Override
  public void close() {
    blocks.values().forEach(backend::free);
    blocks.clear();
  }
}
