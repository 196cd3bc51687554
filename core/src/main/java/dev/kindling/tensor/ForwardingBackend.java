package dev.kindling.tensor;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * A backend that leaves everything to another one: who wraps a backend says what is different and
 * nothing else. Longer than most files, for it has a method for every operation.
 */
public abstract class ForwardingBackend implements Backend {
  /** What does the work. */
  protected final Backend inner;

  /**
   * @param inner closed with this
   */
  protected ForwardingBackend(Backend inner) {
    this.inner = inner;
  }

  @Override
  public String name() {
    return inner.name();
  }

  @Override
  public DType real() {
    return inner.real();
  }

  @Override
  public DType active() {
    return inner.active();
  }

  @Override
  public boolean rounds() {
    return inner.rounds();
  }

  @Override
  public DType frozen(StoredType stored, Storage storage) {
    return inner.frozen(stored, storage);
  }

  @Override
  public long mostElements() {
    return inner.mostElements();
  }

  @Override
  public int ahead() {
    return inner.ahead();
  }

  @Override
  public Tensor allocate(DType type, long... shape) {
    return inner.allocate(type, shape);
  }

  @Override
  public void free(Tensor allocated) {
    inner.free(allocated);
  }

  @Override
  public void write(Tensor to, long at, float[] values, int from, int count) {
    inner.write(to, at, values, from, count);
  }

  @Override
  public void write(Tensor to, int[] values) {
    inner.write(to, values);
  }

  @Override
  public void write(Tensor to, long[] values) {
    inner.write(to, values);
  }

  @Override
  public void decode(Tensor to, long at, ByteBuffer stored, StoredType as) {
    inner.decode(to, at, stored, as);
  }

  @Override
  public void read(Tensor from, float[] into) {
    inner.read(from, into);
  }

  @Override
  public Arriving fetch(Tensor from, float[] into) {
    return inner.fetch(from, into);
  }

  @Override
  public void convert(Tensor from, Tensor to) {
    inner.convert(from, to);
  }

  @Override
  public void transpose(Tensor x, Tensor y) {
    inner.transpose(x, y);
  }

  @Override
  public FrozenMatrix freeze(Tensor w, FrozenMatrix.Use use) {
    return inner.freeze(w, use);
  }

  @Override
  public boolean keepsCodes() {
    return inner.keepsCodes();
  }

  @Override
  public FrozenMatrix coded(Storage storage, boolean turned, int out, int in) {
    return inner.coded(storage, turned, out, in);
  }

  @Override
  public void code(Tensor w, FrozenMatrix into) {
    inner.code(w, into);
  }

  @Override
  public void linear(
      Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    inner.linear(x, w, bias, y, accumulate);
  }

  @Override
  public void linearBackward(Tensor dy, FrozenMatrix w, Tensor dx, boolean accumulate) {
    inner.linearBackward(dy, w, dx, accumulate);
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
    inner.matmul(a, transposeA, b, transposeB, alpha, beta, c);
  }

  @Override
  public void merge(FrozenMatrix w, Tensor b, Tensor a, double scale, Tensor into) {
    inner.merge(w, b, a, scale, into);
  }

  @Override
  public void change(
      FrozenMatrix w, Tensor left, Tensor right, boolean transposeRight, double scale) {
    inner.change(w, left, right, transposeRight, scale);
  }

  @Override
  public void rowSquares(FrozenMatrix w, Tensor squares) {
    inner.rowSquares(w, squares);
  }

  @Override
  public void rowLengths(
      Tensor squares, Tensor projected, Tensor b, Tensor bGram, double scale, Tensor lengths) {
    inner.rowLengths(squares, projected, b, bGram, scale, lengths);
  }

  @Override
  public void scaleColumns(Tensor x, Tensor by, Tensor over, @Nullable Tensor bias, Tensor y) {
    inner.scaleColumns(x, by, over, bias, y);
  }

  @Override
  public void dotColumns(Tensor a, Tensor b, Tensor over, Tensor into, boolean accumulate) {
    inner.dotColumns(a, b, over, into, accumulate);
  }

  @Override
  public void gatherColumns(Tensor x, Tensor columns, Tensor out) {
    inner.gatherColumns(x, columns, out);
  }

  @Override
  public void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate) {
    inner.embed(ids, table, out, accumulate);
  }

  @Override
  public void gatherRows(Tensor x, Tensor rows, Tensor out) {
    inner.gatherRows(x, rows, out);
  }

  @Override
  public void gatherRowsBackward(Tensor dy, Tensor rows, Tensor dx, boolean accumulate) {
    inner.gatherRowsBackward(dy, rows, dx, accumulate);
  }

  @Override
  public void addBias(Tensor y, Tensor bias) {
    inner.addBias(y, bias);
  }

  @Override
  public void addBiasBackward(Tensor dy, Tensor db, boolean accumulate) {
    inner.addBiasBackward(dy, db, accumulate);
  }

  @Override
  public void add(Tensor a, Tensor b, Tensor out) {
    inner.add(a, b, out);
  }

  @Override
  public void zero(Tensor x) {
    inner.zero(x);
  }

  @Override
  public void dropout(Tensor x, Tensor rowKeys, long layer, double rate, Tensor y) {
    inner.dropout(x, rowKeys, layer, rate, y);
  }

  @Override
  public void layerNorm(
      Tensor x, Tensor gamma, Tensor beta, double epsilon, Tensor y, Tensor statistics) {
    inner.layerNorm(x, gamma, beta, epsilon, y, statistics);
  }

  @Override
  public void layerNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    inner.layerNormBackward(dy, x, gamma, epsilon, statistics, dx);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gamma, double epsilon, Tensor y, Tensor statistics) {
    inner.rmsNorm(x, gamma, epsilon, y, statistics);
  }

  @Override
  public void rmsNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
    inner.rmsNormBackward(dy, x, gamma, epsilon, statistics, dx);
  }

  @Override
  public void rope(Tensor x, Tensor positions, double[] frequencies, boolean backwards) {
    inner.rope(x, positions, frequencies, backwards);
  }

  @Override
  public void swiGlu(Tensor gate, Tensor up, Tensor out) {
    inner.swiGlu(gate, up, out);
  }

  @Override
  public void swiGluBackward(Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup) {
    inner.swiGluBackward(gate, up, dout, dgate, dup);
  }

  @Override
  public void takeColumns(Tensor x, int from, Tensor part) {
    inner.takeColumns(x, from, part);
  }

  @Override
  public void putColumns(Tensor part, int from, Tensor x) {
    inner.putColumns(part, from, x);
  }

  @Override
  public void activation(Activation kind, Tensor x, Tensor y) {
    inner.activation(kind, x, y);
  }

  @Override
  public void activationBackward(Activation kind, Tensor x, Tensor y, Tensor dy, Tensor dx) {
    inner.activationBackward(kind, x, y, dy, dx);
  }

  @Override
  public long attentionKept(AttentionShape shape) {
    return inner.attentionKept(shape);
  }

  @Override
  public long attentionScratch(AttentionShape shape) {
    return inner.attentionScratch(shape);
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
    inner.attention(shape, q, k, v, starts, ends, kept, context, scratch);
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
    inner.attentionBackward(
        shape, q, k, v, starts, ends, kept, context, dcontext, dq, dk, dv, scratch);
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor labels, Tensor losses, @Nullable Tensor dlogits) {
    inner.crossEntropy(logits, labels, losses, dlogits);
  }

  @Override
  public void close() {
    inner.close();
  }
}
