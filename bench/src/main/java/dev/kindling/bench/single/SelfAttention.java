package dev.kindling.bench.single;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Attention of two rows of 1,024 tokens, causal as a decoder's or not. */
public class SelfAttention extends Operation {
  private static final int ROWS = 2;
  private static final int TOKENS = 1024;
  private static final int HEAD = 64;

  /** Of 64 features: 8 are llama-60m's, 12 llama-130m's. */
  @Param({"8", "12"})
  int heads;

  @Param({"true", "false"})
  boolean causal;

  private Backend backend;
  private AttentionShape shape;
  private Tensor q;
  private Tensor k;
  private Tensor v;
  private Tensor dq;
  private Tensor dk;
  private Tensor dv;
  private Tensor context;
  private Tensor starts;
  private Tensor ends;
  private Tensor kept;
  private Tensor scratch;

  @Override
  void open(Workbench bench) {
    backend = bench.backend();
    shape = new AttentionShape(ROWS, TOKENS, heads, heads, HEAD, causal);
    int n = ROWS * TOKENS;
    q = bench.active(n, shape.hidden());
    k = bench.active(n, shape.hidden());
    v = bench.active(n, shape.hidden());
    dq = bench.active(n, shape.hidden());
    dk = bench.active(n, shape.hidden());
    dv = bench.active(n, shape.hidden());
    context = bench.active(n, shape.hidden());
    starts = bench.integers(i -> 0, n);
    ends = bench.integers(i -> causal ? i % TOKENS + 1 : TOKENS, n);
    kept = bench.active(backend.attentionKept(shape));
    scratch = bench.real(backend.attentionScratch(shape));
    forward(); // fills what the backward reads
  }

  /** The context. */
  @Benchmark
  public void forward() {
    backend.attention(shape, q, k, v, starts, ends, kept, context, scratch);
  }

  /** Gradients of queries, keys and values. */
  @Benchmark
  public void backward() {
    backend.attentionBackward(
        shape, q, k, v, starts, ends, kept, context, context, dq, dk, dv, scratch);
  }
}
