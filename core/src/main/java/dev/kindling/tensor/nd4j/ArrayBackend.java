package dev.kindling.tensor.nd4j;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.ForwardingBackend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Products through ND4J's arrays, wherever its backend keeps them; everything else where it was.
 * With ND4J's CUDA backend frozen matrices are resident on the device, and what is multiplied with
 * them travels: fp32 and two dimensions, for that is what ND4J multiplies well.
 */
public final class ArrayBackend extends ForwardingBackend {
  private final String name;

  /**
   * @param name as {@code compute.backend} spells it
   * @param rest a CPU backend in fp32, for all but products; must not use ND4J
   */
  public ArrayBackend(String name, Backend rest) {
    super(rest);
    this.name = name;
  }

  /**
   * A matrix in both places: what is read by rows is read here, what is multiplied is there.
   *
   * @param here as the other backend has it
   * @param w its elements
   * @param there in fp32, whatever w is kept in: 4 bytes an element of ND4J's memory
   */
  private record Resident(FrozenMatrix here, Tensor w, INDArray there) implements FrozenMatrix {
    @Override
    public int out() {
      return here.out();
    }

    @Override
    public int in() {
      return here.in();
    }

    @Override
    public long bytes() {
      return here.bytes();
    }

    @Override
    public void release() {
      there.close();
      here.release();
    }
  }

  @Override
  public boolean keepsCodes() {
    return false;
  }

  @Override
  public FrozenMatrix coded(Storage storage, boolean turned, int out, int in) {
    throw new IllegalArgumentException(storage.spelled() + " is decoded on CPUs only");
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public FrozenMatrix freeze(Tensor w, FrozenMatrix.Use use) {
    INDArray there = widened(w);
    return new Resident(inner.freeze(w, use), w, there);
  }

  private INDArray widened(Tensor w) {
    if (w.type() == DType.F32) {
      return ArrayProducts.copy(w);
    }
    Tensor wide = inner.allocate(DType.F32, w.rows(), w.columns());
    try {
      inner.convert(w, wide);
      return ArrayProducts.copy(wide);
    } finally {
      inner.free(wide);
    }
  }

  @Override
  public void linear(
      Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate) {
    try (INDArray left = ArrayProducts.copy(x)) {
      ArrayProducts.multiply(left, false, ((Resident) w).there, true, 1, accumulate ? 1 : 0, y);
    }
    if (bias != null) {
      addBias(y, bias);
    }
  }

  @Override
  public void linearBackward(Tensor dy, FrozenMatrix w, Tensor dx, boolean accumulate) {
    try (INDArray left = ArrayProducts.copy(dy)) {
      ArrayProducts.multiply(left, false, ((Resident) w).there, false, 1, accumulate ? 1 : 0, dx);
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
    try (INDArray left = ArrayProducts.copy(a);
        INDArray right = ArrayProducts.copy(b)) {
      ArrayProducts.multiply(left, transposeA, right, transposeB, alpha, beta, c);
    }
  }

  @Override
  public void merge(FrozenMatrix w, Tensor b, Tensor a, double scale, Tensor into) {
    convert(((Resident) w).w, into);
    matmul(b, false, a, false, scale, 1, into);
  }

  @Override
  public void change(
      FrozenMatrix w, Tensor left, Tensor right, boolean transposeRight, double scale) {
    Resident both = (Resident) w;
    inner.change(both.here, left, right, transposeRight, scale);
    try (INDArray now = ArrayProducts.copy(both.w)) {
      both.there.assign(now);
    }
  }

  @Override
  public void rowSquares(FrozenMatrix w, Tensor squares) {
    inner.rowSquares(((Resident) w).here, squares);
  }

  @Override
  public void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate) {
    inner.embed(ids, ((Resident) table).here, out, accumulate);
  }
}
