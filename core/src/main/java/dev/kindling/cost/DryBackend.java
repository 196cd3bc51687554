package dev.kindling.cost;

import dev.kindling.cost.Work.Kind;
import dev.kindling.lora.plan.Product;
import dev.kindling.tensor.Activation;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: a backend that allocates and computes nothing, and counts what it is asked for. Types
 * and sizes are those of the backend that it stands for. Longer than most files, for it has a line
 * for every operation.
 */
public final class DryBackend implements Backend {
  private final Backend sizes;
  private final Map<Work, Integer> works = new HashMap<>();
  private @Nullable Product largest;
  private @Nullable AttentionShape attention;

  /**
   * @param sizes the backend that it stands for, which is asked for types and sizes only
   */
  public DryBackend(Backend sizes) {
    this.sizes = sizes;
  }

  /** What has been asked for since the last call. */
  public Cost take() {
    Cost cost = new Cost(works, largest, attention);
    works.clear();
    largest = null;
    attention = null;
    return cost;
  }

  private void add(Kind kind, long flops, long bytes) {
    works.merge(new Work(kind, flops, bytes), 1, Integer::sum);
  }

  private void product(long rows, long inner, long columns, long bytes) {
    Product product = new Product(rows, inner, columns, false);
    if (largest == null || product.flops() > largest.flops()) {
      largest = product;
    }
    add(Kind.PRODUCT, product.flops(), bytes);
  }

  private void elements(Tensor... touched) {
    add(Kind.ELEMENTS, 0, bytes(touched));
  }

  private static long bytes(Tensor... touched) {
    return Arrays.stream(touched).mapToLong(t -> t.elements() * t.type().bytes()).sum();
  }

  private static long twice(boolean reads, Tensor written) {
    return reads ? 2 * bytes(written) : bytes(written);
  }

  /** It may be held in several arrangements, of which a product reads one. */
  private long read(FrozenMatrix w) {
    if (w.scratchBytes() > 0) { // converted first, into what the cache holds
      add(Kind.ELEMENTS, 0, w.bytes() + (long) w.out() * w.in() * active().bytes());
    }
    return Math.min(w.bytes(), (long) w.out() * w.in() * active().bytes());
  }

  // ── memory ────────────────────────────────────────────────────────────────────────────────────

  @Override
  public String name() {
    return sizes.name();
  }

  @Override
  public DType real() {
    return sizes.real();
  }

  @Override
  public DType active() {
    return sizes.active();
  }

  @Override
  public boolean rounds() {
    return sizes.rounds();
  }

  @Override
  public DType frozen(StoredType stored, Storage storage) {
    return sizes.frozen(stored, storage);
  }

  @Override
  public long mostElements() {
    return sizes.mostElements();
  }

  @Override
  public Tensor allocate(DType type, long... shape) {
    return Arena.unplaced(type, shape);
  }

  @Override
  public void free(Tensor allocated) {}

  @Override
  public void write(Tensor to, long at, float[] values, int from, int count) {
    add(Kind.ELEMENTS, 0, 8L * count);
  }

  @Override
  public void write(Tensor to, int[] values) {
    elements(to);
  }

  @Override
  public void write(Tensor to, long[] values) {
    elements(to);
  }

  @Override
  public void decode(Tensor to, long at, ByteBuffer stored, StoredType as) {
    add(Kind.ELEMENTS, 0, 2L * stored.remaining());
  }

  @Override
  public void read(Tensor from, float[] into) {
    add(Kind.ELEMENTS, 0, 8L * into.length);
  }

  @Override
  public void convert(Tensor from, Tensor to) {
    elements(from, to);
  }

  @Override
  public void transpose(Tensor x, Tensor y) {
    elements(x, y);
  }

  @Override
  public FrozenMatrix freeze(Tensor w, FrozenMatrix.Use use) {
    return sizes.freeze(w, use);
  }

  @Override
  public FrozenMatrix coded(Storage storage, boolean turned, int out, int in) {
    return sizes.coded(storage, turned, out, in);
  }

  @Override
  public void code(Tensor w, FrozenMatrix into) {
    add(Kind.ELEMENTS, 0, bytes(w) + into.bytes());
  }

  // ── products ──────────────────────────────────────────────────────────────────────────────────

  @Override
  public void linear(
      Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    product(x.rows(), w.in(), w.out(), bytes(x) + read(w) + twice(accumulate, y));
  }

  @Override
  public void linearBackward(Tensor dy, FrozenMatrix w, Tensor dx, boolean accumulate) {
    product(dy.rows(), w.out(), w.in(), bytes(dy) + read(w) + twice(accumulate, dx));
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
    long inner = transposeA ? a.rows() : a.columns();
    product(c.rows(), inner, c.columns(), bytes(a, b) + twice(beta != 0, c));
  }

  @Override
  public void merge(FrozenMatrix w, Tensor b, Tensor a, double scale, Tensor into) {
    product(b.rows(), b.columns(), a.columns(), read(w) + bytes(b, a, into));
  }

  @Override
  public void change(
      FrozenMatrix w, Tensor left, Tensor right, boolean transposeRight, double scale) {
    long inner = left.columns();
    product(w.out(), inner, w.in(), 2 * read(w) + bytes(left, right));
  }

  @Override
  public void rowSquares(FrozenMatrix w, Tensor squares) {
    add(Kind.ELEMENTS, 0, read(w) + bytes(squares));
  }

  @Override
  public void rowLengths(
      Tensor squares, Tensor projected, Tensor b, Tensor bGram, double scale, Tensor lengths) {
    elements(squares, projected, b, bGram, lengths);
  }

  // ── rows and elements ─────────────────────────────────────────────────────────────────────────

  @Override
  public void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate) {
    add(Kind.ELEMENTS, 0, bytes(out) + twice(accumulate, out));
  }

  @Override
  public void gatherRows(Tensor x, Tensor rows, Tensor out) {
    elements(out, out);
  }

  @Override
  public void gatherRowsBackward(Tensor dy, Tensor rows, Tensor dx, boolean accumulate) {
    elements(dy, dy, accumulate ? dy : dx);
  }

  @Override
  public void addBias(Tensor y, Tensor bias) {
    elements(y, y);
  }

  @Override
  public void addBiasBackward(Tensor dy, Tensor db, boolean accumulate) {
    elements(dy, db);
  }

  @Override
  public void scaleColumns(Tensor x, Tensor by, Tensor over, @Nullable Tensor bias, Tensor y) {
    elements(x, y);
  }

  @Override
  public void dotColumns(Tensor a, Tensor b, Tensor over, Tensor into, boolean accumulate) {
    elements(a, b, into);
  }

  @Override
  public void add(Tensor a, Tensor b, Tensor out) {
    elements(a, b, out);
  }

  @Override
  public void zero(Tensor x) {
    elements(x);
  }

  @Override
  public void dropout(Tensor x, Tensor rowKeys, long layer, double rate, Tensor y) {
    elements(x, y);
  }

  // ── layers ────────────────────────────────────────────────────────────────────────────────────

  @Override
  public void layerNorm(
      Tensor x, Tensor gamma, Tensor beta, double epsilon, Tensor y, Tensor statistics) {
    elements(x, y);
  }

  @Override
  public void layerNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    elements(dy, x, dx);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gamma, double epsilon, Tensor y, Tensor statistics) {
    elements(x, y);
  }

  @Override
  public void rmsNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    elements(dy, x, dx);
  }

  @Override
  public void rope(Tensor x, Tensor positions, double[] frequencies, boolean backwards) {
    elements(x, x);
  }

  @Override
  public void swiGlu(Tensor gate, Tensor up, Tensor out) {
    elements(gate, up, out);
  }

  @Override
  public void swiGluBackward(Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup) {
    elements(gate, up, dout, dgate, dup);
  }

  @Override
  public void takeColumns(Tensor x, int from, Tensor part) {
    elements(part, part);
  }

  @Override
  public void gatherColumns(Tensor x, Tensor columns, Tensor out) {
    elements(x, out);
  }

  @Override
  public void putColumns(Tensor part, int from, Tensor x) {
    elements(part, part);
  }

  @Override
  public void activation(Activation kind, Tensor x, Tensor y) {
    elements(x, y);
  }

  @Override
  public void activationBackward(Activation kind, Tensor x, Tensor y, Tensor dy, Tensor dx) {
    elements(x, dy, dx);
  }

  @Override
  public long attentionKept(AttentionShape shape) {
    return sizes.attentionKept(shape);
  }

  @Override
  public long attentionScratch(AttentionShape shape) {
    return sizes.attentionScratch(shape);
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
    long flops = Work.attentionFlops(shape, 2); // q·kᵀ, p·v
    if (attention == null || flops > Work.attentionFlops(attention, 2)) {
      attention = shape;
    }
    add(Kind.ATTENTION, flops, bytes(q, k, v, context));
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
    // dv, dp, dq, dk, and q·kᵀ again unless the backend keeps probabilities.
    int products = sizes.attentionKept(shape) > 0 ? 4 : 5;
    add(Kind.ATTENTION, Work.attentionFlops(shape, products), bytes(q, k, v, dcontext, dq, dk, dv));
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor labels, Tensor losses, @Nullable Tensor dlogits) {
    add(Kind.ELEMENTS, 0, bytes(logits) + (dlogits == null ? 0 : bytes(logits, dlogits)));
  }

  /** Leaves the other backend open. */
  @Override
  public void close() {}
}
