package dev.kindling.tensor.onednn;

import static dev.kindling.tensor.cpu.CpuMemory.ints;

import dev.kindling.tensor.Activation;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CodedMatrix;
import dev.kindling.tensor.cpu.CodedMatrix.Side;
import dev.kindling.tensor.cpu.CpuBackend;
import dev.kindling.tensor.cpu.CpuMemory;
import dev.kindling.tensor.cpu.Dither;
import dev.kindling.tensor.cpu.KeptMatrix;
import dev.kindling.tensor.cpu.RmsGradient;
import dev.kindling.tensor.cpu.Widening;
import dev.kindling.tensor.cpu.Workers;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.bytedeco.dnnl.global.dnnl.algorithm;
import org.jspecify.annotations.Nullable;

/**
 * The fast backend for CPUs: oneDNN's primitives, in fp32 or with activations and operands in bf16.
 * One instance per task thread.
 */
public final class OneDnnBackend extends CpuBackend {
  /**
   * Columns of a sum over many rows that is formed turned: on two threads of Zen 5 [384,
   * 4,096]·[4,096, 8] takes 0.37 ms in fp32 and 0.22 in bf16, its transpose 0.16 and 0.12; of 128
   * columns both take as long (bench/results/onednn.md).
   */
  private static final int THIN = 32;

  private final DType active;
  private final Primitives primitives;
  private final Products products;
  private final Elementwise elementwise;
  private final Norms norms;
  private final CrossEntropy crossEntropy;
  private final Attention attention;
  private final FrozenProducts frozen;
  private final List<Primitives> single = new ArrayList<>();

  /** Rows in F32 during one call, whichever it is. */
  private final Room wide = new Room(DType.F32);

  /** A result during one call. */
  private final Room sums = new Room(DType.F32);

  /**
   * @param threads of each operation, at least 1
   */
  public OneDnnBackend(Precision precision, int threads) {
    this(precision, threads, new Workers(threads));
  }

  private OneDnnBackend(Precision precision, int threads, Workers workers) {
    super(workers);
    this.active = precision.active();
    this.primitives = new Primitives(threads);
    this.products = new Products(primitives);
    this.elementwise = new Elementwise(primitives);
    this.crossEntropy = new CrossEntropy(new Softmax(primitives), elementwise);
    this.norms = new Norms(primitives, elementwise, new RmsGradient(workers), wide);
    for (int worker = 0; worker < threads; worker++) {
      single.add(new Primitives(1));
    }
    this.attention = new Attention(workers, single.stream().map(Attention.Kernels::new).toList());
    Dither dither = new Dither(workers);
    Widening widening = new Widening(workers);
    this.frozen = new FrozenProducts(active, products, elementwise, decoder(), dither, widening);
  }

  @Override
  public String name() {
    return "onednn";
  }

  @Override
  public DType active() {
    return active;
  }

  @Override
  public FrozenMatrix freeze(Tensor w, FrozenMatrix.Use use) {
    KeptMatrix kept = new KeptMatrix(w, active);
    boolean packs = active == DType.BF16 && kept.direct() && use != FrozenMatrix.Use.TABLE;
    return packs ? new PackedMatrix(kept, use) : kept;
  }

  @Override
  protected KeptMatrix kept(FrozenMatrix w) {
    return w instanceof PackedMatrix packed ? packed.kept() : super.kept(w);
  }

  /** All matrices are BF16 where products are, whatever they were stored in. */
  @Override
  public DType frozen(StoredType stored, Storage storage) {
    return active == DType.BF16 ? DType.BF16 : super.frozen(stored, storage);
  }

  @Override
  public void convert(Tensor from, Tensor to) {
    if (from.type() == to.type()) {
      CpuMemory.copy(from, to); // some rows of a pair: less than it takes to wake a thread
      return;
    }
    elementwise.copy(Operand.dense(from, from.elements()), Operand.dense(to, to.elements()));
  }

  @Override
  public void linear(
      Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    if (w instanceof PackedMatrix packed) {
      frozen.forward(x, packed, bias, y, accumulate);
    } else if (w instanceof CodedMatrix coded) {
      frozen.product(x, coded, Side.OUT, bias, y, accumulate);
    } else {
      frozen.forward(x, kept(w), bias, y, accumulate);
    }
  }

  /** In BF16 rows are gathered and then added, by vectors. */
  @Override
  public void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate) {
    if (!accumulate || out.type() != DType.BF16) {
      super.embed(ids, table, out, accumulate);
      return;
    }
    Tensor half = CpuMemory.halved(wide.of((out.elements() + 1) / 2));
    Tensor rows = half.slice(0, out.rows(), out.columns());
    super.embed(ids, table, rows, false);
    add(out, rows, out);
  }

  @Override
  public void merge(FrozenMatrix w, Tensor b, Tensor a, double scale, Tensor into) {
    if (w instanceof CodedMatrix coded) {
      frozen.merge(coded, b, a, scale, into);
    } else {
      frozen.merge(kept(w), b, a, scale, into);
    }
  }

  @Override
  public void addBias(Tensor y, Tensor bias) {
    elementwise.addToRows(y, bias);
  }

  @Override
  public void linearBackward(Tensor dy, FrozenMatrix w, Tensor dx, boolean accumulate) {
    if (w instanceof PackedMatrix packed) {
      frozen.backward(dy, packed, dx, accumulate);
    } else if (w instanceof CodedMatrix coded) {
      frozen.product(dy, coded, Side.IN, null, dx, accumulate);
    } else {
      frozen.backward(dy, kept(w), dx, accumulate);
    }
  }

  @Override
  public void matmul(
      Tensor a,
      boolean transposeA,
      Tensor b,
      boolean transposeB,
      double alpha,
      double beta,
      Tensor c) {
    Operand left = Operand.matrix(a).turnedIf(transposeA);
    Operand right = Operand.matrix(b).turnedIf(transposeB);
    Operand result = Operand.matrix(c);
    if (left.sizes()[1] != right.sizes()[0]
        || left.sizes()[0] != result.sizes()[0]
        || right.sizes()[1] != result.sizes()[1]) {
      throw new IllegalArgumentException(
          "cannot multiply %s%s by %s%s into %s"
              .formatted(a, transposeA ? "ᵀ" : "", b, transposeB ? "ᵀ" : "", c));
    }
    boolean thin = c.columns() <= THIN && c.columns() < c.rows();
    if (transposeA && thin && beta == 0) {
      // A sum over tokens whose columns are a pair's ranks: the left operand is read as it lies.
      Operand turned = Operand.dense(sums.of(c.elements()), c.columns(), c.rows());
      products.multiply(right.turned(), left.turned(), alpha, 0, turned);
      elementwise.copy(turned.turned(), result);
    } else {
      products.multiply(left, right, alpha, beta, result);
    }
  }

  @Override
  public void add(Tensor a, Tensor b, Tensor out) {
    boolean intoSecond = CpuMemory.address(b).address() == CpuMemory.address(out).address();
    elementwise.combine(
        algorithm.binary_add, intoSecond ? b : a, intoSecond ? a : b, out); // out may be the first
  }

  @Override
  public void layerNorm(
      Tensor x, Tensor gamma, Tensor beta, double epsilon, Tensor y, Tensor statistics) {
    norms.forward(x, gamma, beta, epsilon, y, statistics);
  }

  @Override
  public void layerNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    norms.backward(dy, x, gamma, epsilon, statistics, dx);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gamma, double epsilon, Tensor y, Tensor statistics) {
    norms.forward(x, gamma, null, epsilon, y, statistics);
  }

  @Override
  public void rmsNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    norms.rmsBackward(dy, x, gamma, epsilon, statistics, dx);
  }

  /** In F32, which Java would widen and narrow an element at a time (bench/results/onednn.md). */
  @Override
  public void rope(Tensor x, Tensor positions, double[] frequencies, boolean backwards) {
    if (x.type() != DType.BF16) {
      super.rope(x, positions, frequencies, backwards);
      return;
    }
    Tensor turned = wide.of(x.elements()).reshape(x.rows(), x.columns());
    convert(x, turned);
    super.rope(turned, positions, frequencies, backwards);
    convert(turned, x);
  }

  @Override
  public void swiGlu(Tensor gate, Tensor up, Tensor out) {
    elementwise.apply(algorithm.eltwise_swish, gate, out);
    elementwise.combine(algorithm.binary_mul, out, up, out);
  }

  @Override
  public void swiGluBackward(Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup) {
    elementwise.apply(algorithm.eltwise_swish, gate, dup);
    elementwise.combine(algorithm.binary_mul, dup, dout, dup);
    elementwise.combine(algorithm.binary_mul, dout, up, dgate);
    elementwise.backward(algorithm.eltwise_swish, gate, dgate, dgate);
  }

  @Override
  public void activation(Activation kind, Tensor x, Tensor y) {
    elementwise.apply(Elementwise.of(kind), x, y);
  }

  @Override
  public void activationBackward(Activation kind, Tensor x, Tensor y, Tensor dy, Tensor dx) {
    elementwise.backward(Elementwise.of(kind), x, dy, dx);
  }

  @Override
  public long attentionKept(AttentionShape shape) {
    return 0;
  }

  @Override
  public long attentionScratch(AttentionShape shape) {
    return attention.scratch(shape, active == DType.BF16);
  }

  @Override
  public void attention(
      AttentionShape shape,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor kept,
      Tensor context,
      Tensor scratch) {
    attention.forward(shape, q, k, v, ints(starts), ints(ends), context, scratch);
  }

  @Override
  public void attentionBackward(
      AttentionShape shape,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor kept,
      Tensor context,
      Tensor dcontext,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor scratch) {
    attention.backward(shape, q, k, v, ints(starts), ints(ends), dcontext, dq, dk, dv, scratch);
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor labels, Tensor losses, @Nullable Tensor dlogits) {
    crossEntropy.of(logits, labels, losses, dlogits);
  }

  /** For tests: which code oneDNN has chosen so far. */
  Set<String> implementations() {
    return Stream.concat(Stream.of(primitives), single.stream())
        .flatMap(all -> all.implementations().stream())
        .collect(Collectors.toCollection(TreeSet::new));
  }

  @Override
  public void close() {
    super.close();
    frozen.close();
    norms.close();
    wide.close();
    sums.close();
    primitives.close();
    single.forEach(Primitives::close);
  }
}
