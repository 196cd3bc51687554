package dev.kindling.tensor.nd4j;

import static dev.kindling.tensor.nd4j.Nd4jMemory.floats;
import static dev.kindling.tensor.nd4j.Nd4jMemory.halves;
import static dev.kindling.tensor.nd4j.Nd4jMemory.ints;
import static dev.kindling.tensor.nd4j.Nd4jMemory.longs;

import dev.kindling.tensor.Activation;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.nd4j.Products.Frozen;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.ShortBuffer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.nativeblas.NativeOpsHolder;

/** The first backend: fp32 on the CPU through ND4J. One instance per task thread. */
public final class Nd4jBackend implements Backend {
  static {
    // JavaCPP counts its off-heap memory against -Xmx unless told otherwise, and would refuse
    // weights on an executor whose heap is rightly small. Read once, when Pointer is loaded.
    for (String limit : new String[] {"maxBytes", "maxPhysicalBytes"}) {
      String key = "org.bytedeco.javacpp." + limit;
      if (System.getProperty(key) == null) {
        System.setProperty(key, "0");
      }
    }
  }

  private final Products products = new Products();

  private Nd4jBackend() {}

  /**
   * @param threads BLAS threads of every product in this process, at least 1
   */
  public static Nd4jBackend open(int threads) {
    Nd4j.getDataBufferFactory(); // ND4J must find its backend before its native holder is touched
    NativeOpsHolder.getInstance().getDeviceNativeOps().setOmpNumThreads(threads);
    openblas_nolapack.blas_set_num_threads(threads);
    return new Nd4jBackend();
  }

  /** Native bytes that this process holds now, of all backends and models. */
  public static long heldBytes() {
    return Pointer.totalBytes();
  }

  @Override
  public String name() {
    return "nd4j";
  }

  @Override
  public DType real() {
    return DType.F32;
  }

  @Override
  public Tensor allocate(DType type, long... shape) {
    return new Tensor(type, Nd4jMemory.allocate(type, Tensor.elements(shape)), shape);
  }

  @Override
  public void free(Tensor allocated) {
    Nd4jMemory.of(allocated).free();
  }

  @Override
  public void write(Tensor to, long at, float[] values, int from, int count) {
    floats(to).put(Math.toIntExact(at), values, from, count);
  }

  @Override
  public void write(Tensor to, int[] values) {
    ints(to).put(0, values);
  }

  @Override
  public void write(Tensor to, long[] values) {
    longs(to).put(0, values);
  }

  @Override
  public void decode(Tensor to, long at, ByteBuffer stored, StoredType as) {
    ByteBuffer little = stored.slice().order(ByteOrder.LITTLE_ENDIAN);
    Tensor part = to.slice(at, little.remaining() / as.bytes()); // the whole may exceed a buffer
    if (as == StoredType.F32) {
      floats(part).put(little.asFloatBuffer());
      return;
    }
    ShortBuffer words = little.asShortBuffer();
    if (to.type() == as.kept()) {
      halves(part).put(words);
      return;
    }
    FloatBuffer target = floats(part);
    for (int i = 0; i < words.remaining(); i++) {
      target.put(i, as.widen(words.get(i)));
    }
  }

  @Override
  public long mostElements() {
    return Nd4jMemory.MOST_FLOATS;
  }

  @Override
  public void read(Tensor from, float[] into) {
    floats(from).get(0, into);
  }

  @Override
  public void transpose(Tensor x, Tensor y) {
    if (x.type() == DType.F32) {
      FloatBuffer in = floats(x);
      FloatBuffer out = floats(y);
      Rows.transpose(x.rows(), x.columns(), (from, to) -> out.put(to, in.get(from)));
    } else {
      ShortBuffer in = halves(x);
      ShortBuffer out = halves(y);
      Rows.transpose(x.rows(), x.columns(), (from, to) -> out.put(to, in.get(from)));
    }
  }

  @Override
  public FrozenMatrix freeze(Tensor w) {
    return new Frozen(w);
  }

  @Override
  public void linear(Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y) {
    products.linear(x, (Frozen) w, y);
    if (bias != null) {
      addBias(y, bias);
    }
  }

  @Override
  public void linearBackward(Tensor dy, FrozenMatrix w, Tensor dx, boolean accumulate) {
    products.linearBackward(dy, (Frozen) w, dx, accumulate);
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
    products.matmul(a, transposeA, b, transposeB, alpha, beta, c);
  }

  @Override
  public void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate) {
    IntBuffer rows = ints(ids);
    FloatBuffer to = floats(out);
    for (int i = 0; i < out.rows(); i++) {
      ((Frozen) table).widen(rows.get(i), 1, to, i * out.columns(), accumulate);
    }
  }

  @Override
  public void gatherRows(Tensor x, Tensor rows, Tensor out) {
    Rows.gather(ints(rows), floats(x), floats(out), out.rows(), out.columns());
  }

  @Override
  public void gatherRowsBackward(Tensor dy, Tensor rows, Tensor dx, boolean accumulate) {
    if (!accumulate) {
      zero(dx);
    }
    Rows.scatterAdd(ints(rows), floats(dy), floats(dx), dy.rows(), dy.columns());
  }

  @Override
  public void addBias(Tensor y, Tensor bias) {
    Rows.addToEach(floats(y), floats(bias), y.rows(), y.columns());
  }

  @Override
  public void addBiasBackward(Tensor dy, Tensor db, boolean accumulate) {
    Rows.sum(floats(dy), floats(db), dy.rows(), dy.columns(), accumulate);
  }

  @Override
  public void add(Tensor a, Tensor b, Tensor out) {
    FloatBuffer left = floats(a);
    FloatBuffer right = floats(b);
    FloatBuffer sum = floats(out);
    for (int i = 0, n = Math.toIntExact(out.elements()); i < n; i++) {
      sum.put(i, left.get(i) + right.get(i));
    }
  }

  @Override
  public void zero(Tensor x) {
    FloatBuffer all = floats(x);
    for (int i = 0, n = Math.toIntExact(x.elements()); i < n; i++) {
      all.put(i, 0f);
    }
  }

  @Override
  public void dropout(Tensor x, Tensor rowKeys, long layer, double rate, Tensor y) {
    Rows.dropout(floats(x), longs(rowKeys), layer, rate, floats(y), x.rows(), x.columns());
  }

  @Override
  public void layerNorm(
      Tensor x, Tensor gamma, Tensor beta, double epsilon, Tensor y, Tensor statistics) {
    Norms.layerNorm(
        floats(x),
        floats(gamma),
        floats(beta),
        epsilon,
        floats(y),
        floats(statistics),
        x.rows(),
        x.columns());
  }

  @Override
  public void layerNormBackward(Tensor dy, Tensor x, Tensor gamma, Tensor statistics, Tensor dx) {
    Norms.layerNormBackward(
        floats(dy),
        floats(x),
        floats(gamma),
        floats(statistics),
        floats(dx),
        x.rows(),
        x.columns());
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gamma, double epsilon, Tensor y, Tensor statistics) {
    Norms.rmsNorm(
        floats(x), floats(gamma), epsilon, floats(y), floats(statistics), x.rows(), x.columns());
  }

  @Override
  public void rmsNormBackward(Tensor dy, Tensor x, Tensor gamma, Tensor statistics, Tensor dx) {
    Norms.rmsNormBackward(
        floats(dy),
        floats(x),
        floats(gamma),
        floats(statistics),
        floats(dx),
        x.rows(),
        x.columns());
  }

  @Override
  public void rope(Tensor x, Tensor positions, double[] frequencies, boolean backwards) {
    Rows.rope(floats(x), ints(positions), frequencies, backwards, x.rows(), x.columns());
  }

  @Override
  public void swiGlu(Tensor gate, Tensor up, Tensor out) {
    Activations.swiGlu(gate, up, out);
  }

  @Override
  public void swiGluBackward(Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup) {
    Activations.swiGluBackward(gate, up, dout, dgate, dup);
  }

  @Override
  public void takeColumns(Tensor x, int from, Tensor part) {
    FloatBuffer wide = floats(x);
    FloatBuffer narrow = floats(part);
    int d = part.columns();
    for (int row = 0; row < x.rows(); row++) {
      narrow.put(row * d, wide, row * x.columns() + from, d);
    }
  }

  @Override
  public void putColumns(Tensor part, int from, Tensor x) {
    FloatBuffer wide = floats(x);
    FloatBuffer narrow = floats(part);
    int d = part.columns();
    for (int row = 0; row < x.rows(); row++) {
      wide.put(row * x.columns() + from, narrow, row * d, d);
    }
  }

  @Override
  public void activation(Activation kind, Tensor x, Tensor y) {
    Activations.forward(kind, x, y);
  }

  @Override
  public void activationBackward(Activation kind, Tensor x, Tensor y, Tensor dy, Tensor dx) {
    Activations.backward(kind, x, y, dy, dx);
  }

  @Override
  public long attentionScratch(AttentionShape shape) {
    return Attention.scratch(shape);
  }

  @Override
  public void attention(
      AttentionShape shape,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor lengths,
      Tensor probabilities,
      Tensor context,
      Tensor scratch) {
    new Attention(shape, scratch)
        .forward(q, k, v, ints(starts), ints(lengths), probabilities, context);
  }

  @Override
  public void attentionBackward(
      AttentionShape shape,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor probabilities,
      Tensor dcontext,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor scratch) {
    new Attention(shape, scratch).backward(q, k, v, probabilities, dcontext, dq, dk, dv);
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor labels, Tensor losses, @Nullable Tensor dlogits) {
    Norms.crossEntropy(
        floats(logits),
        ints(labels),
        floats(losses),
        dlogits == null ? null : floats(dlogits),
        logits.rows(),
        logits.columns());
  }

  /** For the sibling kernels: c-order view without a copy. */
  static INDArray array(Tensor tensor, long... shape) {
    return Nd4jMemory.array(tensor, shape);
  }

  @Override
  public void close() {
    products.close();
  }
}
