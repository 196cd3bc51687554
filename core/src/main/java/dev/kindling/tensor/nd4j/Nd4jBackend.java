package dev.kindling.tensor.nd4j;

import static dev.kindling.tensor.cpu.CpuMemory.floats;
import static dev.kindling.tensor.cpu.CpuMemory.ints;

import dev.kindling.tensor.Activation;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CodedMatrix;
import dev.kindling.tensor.cpu.CodedMatrix.Side;
import dev.kindling.tensor.cpu.CpuBackend;
import dev.kindling.tensor.cpu.KeptMatrix;
import dev.kindling.tensor.cpu.Workers;
import java.nio.FloatBuffer;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.nativeblas.NativeOpsHolder;

/** The first backend: fp32 on the CPU through ND4J. One instance per task thread. */
public final class Nd4jBackend extends CpuBackend {
  /** The libraries that round. */
  public static String version() {
    return "nd4j with " + openblas_nolapack.OPENBLAS_VERSION.strip();
  }

  private final Products products;

  private Nd4jBackend(int threads) {
    super(new Workers(threads));
    this.products = new Products(decoder());
  }

  /**
   * @param threads BLAS threads of every product in this process, at least 1
   */
  public static Nd4jBackend open(int threads) {
    Nd4j.getDataBufferFactory(); // ND4J must find its backend before its native holder is touched
    NativeOpsHolder.getInstance().getDeviceNativeOps().setOmpNumThreads(threads);
    openblas_nolapack.blas_set_num_threads(threads);
    return new Nd4jBackend(threads);
  }

  @Override
  public String name() {
    return "nd4j";
  }

  @Override
  public void linear(
      Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    if (w instanceof CodedMatrix coded) {
      products.product(x, coded, Side.OUT, y, accumulate);
    } else {
      products.linear(x, (KeptMatrix) w, y, accumulate);
    }
    if (bias != null) {
      addBias(y, bias);
    }
  }

  @Override
  public void linearBackward(Tensor dy, FrozenMatrix w, Tensor dx, boolean accumulate) {
    if (w instanceof CodedMatrix coded) {
      products.product(dy, coded, Side.IN, dx, accumulate);
    } else {
      products.linearBackward(dy, (KeptMatrix) w, dx, accumulate);
    }
  }

  @Override
  public void merge(FrozenMatrix w, Tensor b, Tensor a, double scale, Tensor into) {
    if (w instanceof CodedMatrix coded) {
      products.decode(coded, into);
    } else {
      convert(((KeptMatrix) w).w(), into);
    }
    products.matmul(b, false, a, false, scale, 1, into);
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
  public void add(Tensor a, Tensor b, Tensor out) {
    FloatBuffer left = floats(a);
    FloatBuffer right = floats(b);
    FloatBuffer sum = floats(out);
    for (int i = 0, n = Math.toIntExact(out.elements()); i < n; i++) {
      sum.put(i, left.get(i) + right.get(i));
    }
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
  public void layerNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
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
  public void rmsNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx) {
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
  public void swiGlu(Tensor gate, Tensor up, Tensor out) {
    Activations.swiGlu(gate, up, out);
  }

  @Override
  public void swiGluBackward(Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup) {
    Activations.swiGluBackward(gate, up, dout, dgate, dup);
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
  public long attentionKept(AttentionShape shape) {
    return (long) shape.batch() * shape.heads() * shape.tokens() * shape.keys();
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
      Tensor ends,
      Tensor kept,
      Tensor context,
      Tensor scratch) {
    new Attention(shape, scratch).forward(q, k, v, ints(starts), ints(ends), kept, context);
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
    new Attention(shape, scratch).backward(q, k, v, kept, dcontext, dq, dk, dv);
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

  @Override
  public void close() {
    super.close();
    products.close();
  }
}
