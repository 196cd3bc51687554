package dev.kindling.bench.single;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** A frozen linear layer: x [2048, 512] and w [out, 512]. */
public class FrozenProduct extends Operation {
  private static final int TOKENS = 2048;
  private static final int IN = 512;

  @Param({"512", "1376"})
  int out;

  private Backend backend;
  private FrozenMatrix w;
  private Tensor x;
  private Tensor y;

  @Override
  void open(Workbench bench) {
    backend = bench.backend();
    w = bench.frozen(out, IN);
    x = bench.active(TOKENS, IN);
    y = bench.active(TOKENS, out);
  }

  /** y = x·wᵀ. */
  @Benchmark
  public void forward() {
    backend.linear(x, w, null, y, false);
  }

  /** x = y·w. */
  @Benchmark
  public void backward() {
    backend.linearBackward(y, w, x, false);
  }
}
