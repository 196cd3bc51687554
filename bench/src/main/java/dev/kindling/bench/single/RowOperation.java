package dev.kindling.bench.single;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;

/** What a llama-60m does to 2,048 tokens beside products and attention. */
public class RowOperation extends Operation {
  private static final int TOKENS = 2048;
  private static final int HIDDEN = 512;
  private static final int INTERMEDIATE = 1376;
  private static final double EPSILON = 1e-6;

  private Backend backend;
  private Tensor x;
  private Tensor y;
  private Tensor dx;
  private Tensor gamma;
  private Tensor beta;
  private Tensor rootStatistics;
  private Tensor statistics;
  private Tensor gate;
  private Tensor up;
  private Tensor product;
  private Tensor dup;

  @Override
  void open(Workbench bench) {
    backend = bench.backend();
    x = bench.active(TOKENS, HIDDEN);
    y = bench.active(TOKENS, HIDDEN);
    dx = bench.active(TOKENS, HIDDEN);
    gamma = bench.real(HIDDEN);
    beta = bench.real(HIDDEN);
    rootStatistics = bench.real(TOKENS, 1);
    statistics = bench.real(TOKENS, 2);
    gate = bench.active(TOKENS, INTERMEDIATE);
    up = bench.active(TOKENS, INTERMEDIATE);
    product = bench.active(TOKENS, INTERMEDIATE);
    dup = bench.active(TOKENS, INTERMEDIATE);
    rmsNorm(); // fill what the backwards read
    layerNorm();
  }

  @Benchmark
  public void rmsNorm() {
    backend.rmsNorm(x, gamma, EPSILON, y, rootStatistics);
  }

  @Benchmark
  public void rmsNormBackward() {
    backend.rmsNormBackward(y, x, gamma, EPSILON, rootStatistics, dx);
  }

  @Benchmark
  public void layerNorm() {
    backend.layerNorm(x, gamma, beta, EPSILON, y, statistics);
  }

  @Benchmark
  public void layerNormBackward() {
    backend.layerNormBackward(y, x, gamma, EPSILON, statistics, dx);
  }

  @Benchmark
  public void swiGlu() {
    backend.swiGlu(gate, up, product);
  }

  /** The gradient of the gate has a place of its own here, so that every call reads the same. */
  @Benchmark
  public void swiGluBackward() {
    backend.swiGluBackward(gate, up, up, product, dup);
  }
}
