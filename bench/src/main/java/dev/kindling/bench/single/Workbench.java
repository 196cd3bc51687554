package dev.kindling.bench.single;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Seeds;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.load.Compute;
import dev.kindling.tensor.load.Device;
import dev.kindling.tensor.load.Engine;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.IntUnaryOperator;

/** Mutable: a backend, and tensors of random numbers that live as long as it does. */
final class Workbench implements AutoCloseable {
  private static final int PIECE = 1 << 16;
  private static final double WIDTH = 0.1;

  private final Backend backend;
  private final List<Tensor> taken = new ArrayList<>();

  /**
   * @param side backend and precision, for example {@code onednn-bf16}
   */
  Workbench(String side, int threads) {
    String[] parts = side.toUpperCase(Locale.ROOT).split("-", -1);
    Engine engine = Engine.valueOf(parts[0]);
    backend = new Compute(engine, Precision.valueOf(parts[1]), threads).open(Device.CPU);
  }

  Backend backend() {
    return backend;
  }

  /** Activations, uniform within ±0.1. */
  Tensor active(long... shape) {
    return filled(take(backend.active(), shape));
  }

  /** The same in the type of trainables, logits and statistics. */
  Tensor real(long... shape) {
    return filled(take(backend.real(), shape));
  }

  /** A frozen matrix [out, in]. */
  FrozenMatrix frozen(int out, int in) {
    return backend.freeze(active(out, in));
  }

  /** Integers by their place. */
  Tensor integers(IntUnaryOperator value, int count) {
    Tensor t = take(DType.I32, count);
    int[] values = new int[count];
    Arrays.setAll(values, value);
    backend.write(t, values);
    return t;
  }

  private Tensor take(DType type, long... shape) {
    Tensor t = backend.allocate(type, shape);
    taken.add(t);
    return t;
  }

  private Tensor filled(Tensor t) {
    float[] piece = Seeds.uniform(taken.size(), PIECE, WIDTH);
    for (long at = 0; at < t.elements(); at += PIECE) {
      backend.write(t, at, piece, 0, (int) Math.min(PIECE, t.elements() - at));
    }
    return t;
  }

  @Override
  public void close() {
    taken.forEach(backend::free);
    backend.close();
  }
}
