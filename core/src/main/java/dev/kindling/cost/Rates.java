package dev.kindling.cost;

import dev.kindling.cost.Work.Kind;
import dev.kindling.lora.plan.Product;
import dev.kindling.tensor.Activation;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * How fast one task computes.
 *
 * @param productFlops operations a second of a large matrix product
 * @param attentionFlops operations a second of attention
 * @param bytes a second of operations on elements
 */
public record Rates(double productFlops, double attentionFlops, double bytes)
    implements Serializable {
  /**
   * An operation is run at least so often, and on for so long: Java compiles its part meanwhile.
   */
  private static final int LEAST_ROUNDS = 7;

  private static final long PATIENCE_NANOS = 500_000_000;

  /** Rows of an attention that is timed: its speed does not change beyond. */
  private static final int MOST_ROWS = 8;

  /** Elements of an activation that is timed: 16 MiB of F32, beyond the caches of one core. */
  private static final int ELEMENTS = 1 << 22;

  private static final int COLUMNS = 1024;

  /**
   * What is timed for a computation: the largest of its products and attentions.
   *
   * @param attention null if there is none
   */
  public record Probe(Product product, @Nullable AttentionShape attention)
      implements Serializable {}

  /** What to time to predict computations of this cost. */
  public static Probe probe(Cost cost) {
    Product product = cost.largest() == null ? new Product(256, 256, 256, false) : cost.largest();
    AttentionShape shape = cost.attention();
    return new Probe(
        product,
        shape == null
            ? null
            : shape.over(Math.min(MOST_ROWS, shape.batch()), shape.tokens(), shape.keys()));
  }

  /** Times the probe on a backend: one or two seconds. */
  public static Rates measure(Backend backend, Probe probe) {
    double product = rate(backend, b -> product(b, probe.product), Kind.PRODUCT);
    double bytes = rate(backend, Rates::elements, Kind.ELEMENTS);
    double attention =
        probe.attention == null
            ? product
            : rate(backend, b -> attention(b, probe.attention), Kind.ATTENTION);
    return new Rates(product, attention, bytes);
  }

  /** The slowest of several tasks, which the others wait for. */
  public static Rates slowest(List<Rates> tasks) {
    return new Rates(
        tasks.stream().mapToDouble(Rates::productFlops).min().orElseThrow(),
        tasks.stream().mapToDouble(Rates::attentionFlops).min().orElseThrow(),
        tasks.stream().mapToDouble(Rates::bytes).min().orElseThrow());
  }

  /** Predicted seconds of an operation. */
  public double seconds(Work work) {
    double flops =
        switch (work.kind()) {
          case PRODUCT -> productFlops;
          case ATTENTION -> attentionFlops;
          case ELEMENTS -> Double.POSITIVE_INFINITY;
        };
    return Math.max(work.flops() / flops, work.bytes() / bytes);
  }

  /** Predicted seconds of a product of a type of so many bytes. */
  public double seconds(Product product, int width) {
    return seconds(new Work(Kind.PRODUCT, product.flops(), product.elements() * width));
  }

  /** An operation that is run over and over, on tensors of its own. */
  private record Run(Consumer<Backend> operation, List<Tensor> tensors) {}

  private static double rate(Backend backend, Function<Backend, Run> setup, Kind kind) {
    DryBackend dry = new DryBackend(backend);
    setup.apply(dry).operation.accept(dry);
    Cost cost = dry.take();
    double amount = kind == Kind.ELEMENTS ? cost.bytes() : cost.flops(kind);
    Run run = setup.apply(backend);
    try {
      run.operation.accept(backend); // oneDNN compiles
      List<Long> nanos = new ArrayList<>();
      for (long spent = 0; nanos.size() < LEAST_ROUNDS || spent < PATIENCE_NANOS; ) {
        long start = System.nanoTime();
        run.operation.accept(backend);
        nanos.add(System.nanoTime() - start);
        spent += nanos.get(nanos.size() - 1);
      }
      return amount / (median(nanos) / 1e9);
    } finally {
      run.tensors.forEach(backend::free);
    }
  }

  private static double median(List<Long> nanos) {
    return nanos.stream().sorted().skip(nanos.size() / 2).findFirst().orElseThrow();
  }

  private static Run product(Backend backend, Product p) {
    Tensor x = backend.allocate(backend.active(), p.rows(), p.inner());
    Tensor w = backend.allocate(backend.active(), p.columns(), p.inner());
    Tensor y = backend.allocate(backend.active(), p.rows(), p.columns());
    return new Run(b -> b.matmul(x, false, w, true, 1, 0, y), List.of(x, w, y));
  }

  private static Run elements(Backend backend) {
    Tensor x = backend.allocate(backend.active(), ELEMENTS / COLUMNS, COLUMNS);
    Tensor y = backend.allocate(backend.active(), ELEMENTS / COLUMNS, COLUMNS);
    return new Run(
        b -> {
          b.activation(Activation.GELU_TANH, x, y);
          b.activationBackward(Activation.GELU_TANH, x, y, y, y);
          b.add(x, y, y);
        },
        List.of(x, y));
  }

  private static Run attention(Backend backend, AttentionShape s) {
    List<Tensor> all = new ArrayList<>();
    Tensor[] queries = new Tensor[4]; // q, context, dcontext, dq
    Tensor[] keys = new Tensor[4]; // k, v, dk, dv
    for (int i = 0; i < 4; i++) {
      queries[i] = backend.allocate(backend.active(), (long) s.batch() * s.tokens(), s.hidden());
      keys[i] = backend.allocate(backend.active(), (long) s.batch() * s.keys(), s.kvHidden());
    }
    Tensor starts = backend.allocate(DType.I32, (long) s.batch() * s.tokens());
    Tensor ends = backend.allocate(DType.I32, (long) s.batch() * s.tokens());
    int[] last = new int[s.batch() * s.tokens()];
    Arrays.setAll(last, i -> s.causal() ? s.keys() - s.tokens() + i % s.tokens() + 1 : s.keys());
    backend.write(ends, last);
    Tensor kept = backend.allocate(backend.active(), backend.attentionKept(s));
    Tensor scratch = backend.allocate(backend.real(), backend.attentionScratch(s));
    all.addAll(List.of(queries));
    all.addAll(List.of(keys));
    all.addAll(List.of(starts, ends, kept, scratch));
    return new Run(
        b -> {
          b.attention(s, queries[0], keys[0], keys[1], starts, ends, kept, queries[1], scratch);
          b.attentionBackward(
              s,
              queries[0],
              keys[0],
              keys[1],
              starts,
              ends,
              kept,
              queries[1],
              queries[2],
              queries[3],
              keys[2],
              keys[3],
              scratch);
        },
        all);
  }
}
