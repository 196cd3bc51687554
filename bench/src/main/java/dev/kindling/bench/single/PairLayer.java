package dev.kindling.bench.single;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.TargetModules;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.nn.Linear;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Seeds;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Mutable: a pair beside a frozen matrix, whose step any plan may compute on the same tensors. */
final class PairLayer implements AutoCloseable {
  private record Memory(Linear.Saved saved, Linear.Scratch scratch) {}

  private final Backend backend;
  private final LinearModule module;
  private final AdapterLayout layout;
  private final FrozenMatrix w;
  private final Tensor x;
  private final Tensor y;
  private final Tensor dy;
  private final Tensor dx;
  private final List<Runnable> closers = new ArrayList<>();

  PairLayer(Workbench bench, PairShape shape) {
    int in = (int) shape.in();
    int out = (int) shape.out();
    int rank = (int) shape.rank();
    backend = bench.backend();
    module = new LinearModule("layer", in, out, false, true);
    TargetModules.Blocks all = new TargetModules.Blocks();
    layout =
        AdapterLayout.of(List.of(module), new AdapterSettings(rank, 2 * rank, 0, all, List.of()));
    w = bench.frozen(out, in);
    x = bench.active(shape.tokens(), in);
    y = bench.active(shape.tokens(), out);
    dy = bench.active(shape.tokens(), out);
    dx = bench.active(shape.tokens(), in);
  }

  /** Forward and backward, the gradient of the input included, by the plan that is chosen. */
  Runnable step(PlanChooser chooser) {
    Trainables trainables = new Trainables(backend, layout, chooser);
    closers.add(trainables::close);
    trainables.load(Seeds.uniform(0, layout.elements(), 0.02));
    Linear layer = trainables.linear(module, 0, name -> w, PairLayer::noBias);
    Arena arena = new Arena(backend);
    closers.add(arena::close);
    Memory memory = arena.lay(a -> memory(a, layer));
    return () -> {
      layer.forward(x, y, memory.saved, memory.scratch, true);
      layer.backward(x, memory.saved, dy, dx, false, memory.scratch);
    };
  }

  private static Tensor noBias(String name) {
    throw new IllegalStateException(name + ": there is none");
  }

  private Memory memory(Arena.Layout arena, Linear layer) {
    return new Memory(
        layer.save(arena, x.rows()), Linear.Scratch.take(arena, x.rows(), layer.scratch(x.rows())));
  }

  @Override
  public void close() {
    closers.forEach(Runnable::run);
  }
}
