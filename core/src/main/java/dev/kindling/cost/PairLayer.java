package dev.kindling.cost;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.TargetModules;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.nn.FrozenLayers;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Seeds;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * Mutable: a low-rank pair beside a frozen matrix, whose forward and backward any plan may compute
 * on the same tensors of random numbers. To be timed with.
 */
public final class PairLayer implements AutoCloseable {
  private static final int PIECE = 1 << 16;
  private static final double WIDTH = 0.1;

  private final Backend backend;
  private final PairShape shape;
  private final LinearModule module;
  private final AdapterLayout layout;
  private final Tensor w;
  private final FrozenMatrix matrix;
  private final Arena arena;
  private final List<Trainables> trainables = new ArrayList<>();

  /**
   * @param stored the type that the frozen matrix is stored in
   * @param storage how it is kept; one of another type than activations holds zeros
   * @param dropout of the pair
   */
  public PairLayer(
      Backend backend, PairShape shape, StoredType stored, Storage storage, double dropout) {
    this.backend = backend;
    this.shape = shape;
    int in = Math.toIntExact(shape.in());
    int out = Math.toIntExact(shape.out());
    int rank = Math.toIntExact(shape.rank());
    this.module = new LinearModule("layer", in, out, false, true);
    TargetModules all = new TargetModules.Blocks();
    this.layout =
        AdapterLayout.of(
            List.of(module), new AdapterSettings(rank, 2 * rank, dropout, all, List.of()));
    DType frozen = storage.coded() ? backend.real() : backend.frozen(stored, storage);
    this.w = backend.allocate(frozen, out, in);
    if (frozen == backend.active() || storage.coded()) {
      fill(w);
    }
    if (storage.coded()) {
      this.matrix = backend.coded(storage, false, out, in);
      backend.code(w, matrix);
    } else {
      this.matrix = backend.freeze(w);
    }
    this.arena = new Arena(backend);
  }

  /** One plan's layer and the tensors of its step. */
  private record Step(
      Linear layer,
      Linear.Saved saved,
      Linear.Scratch scratch,
      Tensor x,
      Tensor y,
      Tensor dy,
      Tensor dx) {
    void run() {
      layer.forward(x, y, saved, scratch, true);
      layer.backward(x, saved, dy, dx, false, scratch);
    }
  }

  /**
   * Forward and backward, the gradient of the input included, by each of the choosers; all over the
   * same memory. To be called once.
   */
  public List<Runnable> steps(List<PlanChooser> choosers) {
    List<Linear> layers = new ArrayList<>();
    for (PlanChooser chooser : choosers) {
      Trainables own = new Trainables(backend, layout, chooser, shape.halves());
      trainables.add(own);
      own.load(Seeds.uniform(0, layout.elements(), WIDTH));
      layers.add(own.linear(module, 0, FrozenLayers.of(name -> matrix, PairLayer::noBias)));
    }
    List<Step> steps = arena.lay(a -> steps(a, layers));
    fill(steps.get(0).x);
    fill(steps.get(0).dy);
    List<Runnable> runs = new ArrayList<>();
    steps.forEach(step -> runs.add(step::run));
    return runs;
  }

  private List<Step> steps(Arena.Layout layoutOf, List<Linear> layers) {
    int n = Math.toIntExact(shape.tokens());
    Tensor x = layoutOf.active(n, shape.in());
    Tensor dx = layoutOf.active(n, shape.in());
    Tensor y = layoutOf.active(n, shape.out());
    Tensor dy = layoutOf.active(n, shape.out());
    List<Function<Arena.Layout, Step>> builders = new ArrayList<>();
    for (Linear layer : layers) {
      builders.add(
          a ->
              new Step(
                  layer,
                  layer.save(a, n),
                  Linear.Scratch.take(a, n, List.of(layer)),
                  x,
                  y,
                  dy,
                  dx));
    }
    return layoutOf.inTurn(builders);
  }

  private static Tensor noBias(String name) {
    throw new IllegalStateException(name + ": there is none");
  }

  private void fill(Tensor t) {
    float[] piece = Seeds.uniform(1, PIECE, WIDTH);
    for (long at = 0; at < t.elements(); at += PIECE) {
      backend.write(t, at, piece, 0, (int) Math.min(PIECE, t.elements() - at));
    }
  }

  @Override
  public void close() {
    arena.close();
    trainables.forEach(Trainables::close);
    matrix.release();
    backend.free(w);
  }
}
