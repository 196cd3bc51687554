package dev.kindling.tensor.cuda;

import static dev.kindling.tensor.cuda.Calls.checkBlas;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.cuda.Product.Operand;
import java.util.HashMap;
import java.util.Map;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.cublas.cublasLtMatmulAlgo_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulDescOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulHeuristicResult_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulPreferenceOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatrixLayoutOpaque_t;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;

/**
 * Mutable: products by cublasLt, which stores columns: of a row-major c it forms the transpose, cᵀ
 * = op(b)ᵀ · op(a)ᵀ, and a row-major matrix is to it the transposed one. The algorithm is the first
 * that its heuristic names, chosen once for each kind of product, so that a run's products round
 * alike.
 */
final class Blas {
  private final cublasLtContext context = new cublasLtContext();
  private final Map<Kind, Plan> plans = new HashMap<>();
  private final Pointer workspace;
  private final long workspaceBytes;
  private final boolean tf32;
  private final CUstream_st stream;

  // Read before a call returns: the same ones serve all.
  private final FloatPointer alpha = new FloatPointer(1);
  private final FloatPointer beta = new FloatPointer(1);
  private final LongPointer bias = new LongPointer(1);

  /** What an algorithm is chosen by: a product but for addresses and factors. */
  private record Kind(Operand a, Operand b, Operand c, int batch, boolean biased) {
    static Kind of(Product product) {
      return new Kind(
          nowhere(product.a()),
          nowhere(product.b()),
          nowhere(product.c()),
          product.batch(),
          product.bias() != 0);
    }

    private static Operand nowhere(Operand o) {
      return new Operand(
          aligned(o.address()),
          o.type(),
          o.rows(),
          o.columns(),
          o.leading(),
          o.stride(),
          o.turned());
    }

    /** What of an address an algorithm may rely on. */
    private static long aligned(long address) {
      return Math.min(16, Long.lowestOneBit(address));
    }
  }

  /**
   * How such products are formed.
   *
   * @param found has the algorithm in its own memory, and so must live as long
   */
  private record Plan(
      cublasLtMatmulDescOpaque_t operation,
      cublasLtMatrixLayoutOpaque_t left,
      cublasLtMatrixLayoutOpaque_t right,
      cublasLtMatrixLayoutOpaque_t into,
      cublasLtMatmulHeuristicResult_t found,
      cublasLtMatmulAlgo_t algorithm) {}

  /**
   * @param workspace on the device
   * @param tf32 whether operands in F32 may be rounded to TF32
   * @param stream of all products, which therefore share the workspace
   */
  Blas(long workspace, long workspaceBytes, boolean tf32, CUstream_st stream) {
    checkBlas(cublas.cublasLtCreate(context), "cublasLtCreate");
    this.workspace = at(workspace);
    this.workspaceBytes = workspaceBytes;
    this.tf32 = tf32;
    this.stream = stream;
  }

  /** Of the library that is loaded, as 130100. */
  static long version() {
    return cublas.cublasLtGetVersion();
  }

  /** An address of the device as a parameter. */
  private static final class DevicePointer extends Pointer {
    DevicePointer(long at) {
      address = at;
    }
  }

  private static Pointer at(long address) {
    return new DevicePointer(address);
  }

  void multiply(Product product) {
    Plan plan = plans.computeIfAbsent(Kind.of(product), kind -> plan(product));
    Pointer c = at(product.c().address());
    if (product.bias() != 0) {
      bias(plan.operation, product.bias());
    }
    alpha.put((float) product.alpha());
    beta.put((float) product.beta());
    checkBlas(
        cublas.cublasLtMatmul(
            context,
            plan.operation,
            alpha,
            at(product.b().address()),
            plan.left,
            at(product.a().address()),
            plan.right,
            beta,
            c,
            plan.into,
            c,
            plan.into,
            plan.algorithm,
            workspace,
            workspaceBytes,
            stream),
        "cublasLtMatmul");
  }

  private Plan plan(Product product) {
    try (PointerPointer<Pointer> made = new PointerPointer<>(1);
        IntPointer found = new IntPointer(1);
        LongPointer most = new LongPointer(new long[] {workspaceBytes})) {
      boolean rounded = tf32 && product.a().type() == DType.F32;
      int how = rounded ? cublas.CUBLAS_COMPUTE_32F_FAST_TF32 : cublas.CUBLAS_COMPUTE_32F;
      checkBlas(cublas.cublasLtMatmulDescCreate(made, how, cudart.CUDA_R_32F), "MatmulDescCreate");
      cublasLtMatmulDescOpaque_t operation = new cublasLtMatmulDescOpaque_t(made.get());
      set(operation, cublas.CUBLASLT_MATMUL_DESC_TRANSA, product.b().turned() ? 1 : 0);
      set(operation, cublas.CUBLASLT_MATMUL_DESC_TRANSB, product.a().turned() ? 1 : 0);
      if (product.bias() != 0) {
        set(operation, cublas.CUBLASLT_MATMUL_DESC_EPILOGUE, cublas.CUBLASLT_EPILOGUE_BIAS);
        bias(operation, product.bias());
      }
      cublasLtMatrixLayoutOpaque_t left = layout(made, product.b(), product.batch());
      cublasLtMatrixLayoutOpaque_t right = layout(made, product.a(), product.batch());
      cublasLtMatrixLayoutOpaque_t into = layout(made, product.c(), product.batch());
      checkBlas(cublas.cublasLtMatmulPreferenceCreate(made), "MatmulPreferenceCreate");
      cublasLtMatmulPreferenceOpaque_t limits = new cublasLtMatmulPreferenceOpaque_t(made.get());
      checkBlas(
          cublas.cublasLtMatmulPreferenceSetAttribute(
              limits, cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most, Long.BYTES),
          "MatmulPreferenceSetAttribute");
      // Parts of a sum are kept in fp32 and added in one order, or there are none.
      int parts = cublas.CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
      limit(limits, cublas.CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, parts);
      align(limits, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, product.b());
      align(limits, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, product.a());
      align(limits, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, product.c());
      align(limits, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, product.c());
      cublasLtMatmulHeuristicResult_t first = new cublasLtMatmulHeuristicResult_t(1);
      checkBlas(
          cublas.cublasLtMatmulAlgoGetHeuristic(
              context, operation, left, right, into, into, limits, 1, first, found),
          "MatmulAlgoGetHeuristic for " + product);
      checkBlas(cublas.cublasLtMatmulPreferenceDestroy(limits), "MatmulPreferenceDestroy");
      if (found.get() < 1) {
        throw new IllegalStateException("cublasLt knows no way to form " + product);
      }
      return new Plan(operation, left, right, into, first, first.algo());
    }
  }

  /** Of cᵀ, whose columns each have one number for each of its rows. */
  private void bias(cublasLtMatmulDescOpaque_t operation, long address) {
    bias.put(address);
    checkBlas(
        cublas.cublasLtMatmulDescSetAttribute(
            operation, cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias, Long.BYTES),
        "MatmulDescSetAttribute");
  }

  private static void set(cublasLtMatmulDescOpaque_t operation, int which, int number) {
    try (IntPointer value = new IntPointer(new int[] {number})) {
      checkBlas(
          cublas.cublasLtMatmulDescSetAttribute(operation, which, value, Integer.BYTES),
          "MatmulDescSetAttribute");
    }
  }

  private static void align(cublasLtMatmulPreferenceOpaque_t limits, int which, Operand operand) {
    limit(limits, which, (int) Kind.aligned(operand.address()));
  }

  private static void limit(cublasLtMatmulPreferenceOpaque_t limits, int which, int number) {
    try (IntPointer value = new IntPointer(new int[] {number})) {
      checkBlas(
          cublas.cublasLtMatmulPreferenceSetAttribute(limits, which, value, Integer.BYTES),
          "MatmulPreferenceSetAttribute");
    }
  }

  private static cublasLtMatrixLayoutOpaque_t layout(
      PointerPointer<Pointer> made, Operand operand, int batch) {
    int type = operand.type() == DType.F32 ? cudart.CUDA_R_32F : cudart.CUDA_R_16BF;
    checkBlas(
        cublas.cublasLtMatrixLayoutCreate(
            made, type, operand.columns(), operand.rows(), operand.leading()),
        "MatrixLayoutCreate");
    cublasLtMatrixLayoutOpaque_t layout = new cublasLtMatrixLayoutOpaque_t(made.get());
    if (batch > 1) {
      try (IntPointer count = new IntPointer(new int[] {batch});
          LongPointer stride = new LongPointer(new long[] {operand.stride()})) {
        checkBlas(
            cublas.cublasLtMatrixLayoutSetAttribute(
                layout, cublas.CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, count, Integer.BYTES),
            "MatrixLayoutSetAttribute");
        checkBlas(
            cublas.cublasLtMatrixLayoutSetAttribute(
                layout, cublas.CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride, Long.BYTES),
            "MatrixLayoutSetAttribute");
      }
    }
    return layout;
  }

  void close() {
    checkBlas(cublas.cublasLtDestroy(context), "cublasLtDestroy");
  }
}
