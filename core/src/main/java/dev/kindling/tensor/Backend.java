package dev.kindling.tensor;

import dev.kindling.tensor.FrozenMatrix.Use;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * The operations that the layers are made of, coarse where fusion lives, on tensors that this
 * backend allocated. Matrices are row-major; a tensor of more dimensions counts as the matrix
 * [product of the outer ones, innermost].
 *
 * <p>An instance serves one thread at a time; frozen weights may be shared between instances of one
 * backend. Shapes that do not fit each other are programmer errors ({@link
 * IllegalArgumentException}). Outputs never alias inputs unless a method says so.
 */
public interface Backend extends AutoCloseable {
  /** Name as {@code compute.backend} spells it. */
  String name();

  /**
   * Element type of trainables and their gradients, of norms' weights and statistics, biases,
   * logits and losses.
   */
  DType real();

  /**
   * Element type of activations, of their gradients and of all that is multiplied: {@link #real},
   * or half of it. Sums of products are kept in {@link #real} and rounded at the end.
   */
  default DType active() {
    return real();
  }

  /** Whether products round what they multiply, a weight with an adapter in it too. */
  default boolean rounds() {
    return active() == DType.BF16;
  }

  /**
   * Element type in which a matrix of stored weights is kept.
   *
   * @param storage one that has codes keeps matrices outside the blocks as they are stored
   */
  default DType frozen(StoredType stored, Storage storage) {
    return storage != Storage.FP32 && stored != StoredType.F32 ? stored.kept() : active();
  }

  /** Most elements that a tensor of a step may have; frozen weights may have more. */
  long mostElements();

  /** Steps that may be under way at once: two where work goes on in the background. */
  default int ahead() {
    return 1;
  }

  // ── memory ────────────────────────────────────────────────────────────────────────────────────

  /** New zeroed memory; freed by {@link #free}. */
  Tensor allocate(DType type, long... shape);

  /** Gives back the memory of a tensor that {@link #allocate} returned; views of it die with it. */
  void free(Tensor allocated);

  /**
   * Copies {@code count} values from {@code values[from]} into elements {@code at…} of a real or
   * active tensor, rounded to its type.
   */
  void write(Tensor to, long at, float[] values, int from, int count);

  /** Copies all of {@code values} into the first elements of an I32 tensor. */
  void write(Tensor to, int[] values);

  /** Copies all of {@code values} into the first elements of an I64 tensor. */
  void write(Tensor to, long[] values);

  /**
   * Copies little-endian stored weights into elements {@code at…} of a tensor: as they are into one
   * of {@link StoredType#kept}, else widened or rounded to its type, real or active.
   *
   * @param stored the remaining bytes are the elements, as many as fit
   */
  void decode(Tensor to, long at, ByteBuffer stored, StoredType as);

  /**
   * Waits for all work on a real or active tensor and copies its first {@code into.length} elements
   * out.
   */
  void read(Tensor from, float[] into);

  /** Numbers on their way to the host. */
  interface Arriving {
    /** Waits for them. */
    void await();
  }

  /**
   * Begins what {@link #read} does: {@code into} has the elements once they are awaited. Work that
   * is asked for meanwhile comes after it, so the tensor may be overwritten.
   */
  default Arriving fetch(Tensor from, float[] into) {
    read(from, into);
    return () -> {};
  }

  /** to = from, real or active, rounded to the type of {@code to}. */
  void convert(Tensor from, Tensor to);

  /** y [b, a] = xᵀ of x [a, b], both of one type, real or half. */
  void transpose(Tensor x, Tensor y);

  /**
   * Takes over a loaded w [out, in] of a {@link #frozen} type, which must not be used or freed
   * afterwards. One that is not of the active type is converted piece by piece in each product.
   */
  default FrozenMatrix freeze(Tensor w) {
    return freeze(w, Use.LAYER);
  }

  /**
   * The same.
   *
   * @param use what it is read for
   */
  FrozenMatrix freeze(Tensor w, Use use);

  /** Whether {@link #coded} can be asked for. */
  default boolean keepsCodes() {
    return true;
  }

  /**
   * A frozen w [out, in] that is to be kept as codes: of a known size, but without memory until
   * {@link #code}. Its memory is its own, given back by {@link FrozenMatrix#release}; in products
   * it is decoded, whole or piece by piece.
   *
   * @param storage one that has codes
   * @param turned whether blocks of codes follow the order of [in, out], as a file has it
   */
  FrozenMatrix coded(Storage storage, boolean turned, int out, int in);

  /**
   * Rounds a loaded matrix to the codes of one that {@link #coded} has made.
   *
   * @param w real, [out, in] or turned; remains the caller's
   */
  void code(Tensor w, FrozenMatrix into);

  // ── products ──────────────────────────────────────────────────────────────────────────────────

  /**
   * y [N, out] = x [N, in] · wᵀ + bias [out], or += with {@code accumulate}; x active, y active or
   * real, bias real.
   */
  void linear(Tensor x, FrozenMatrix w, @Nullable Tensor bias, Tensor y, boolean accumulate);

  /** dx [N, in] = dy [N, out] · w, or += with {@code accumulate}. */
  void linearBackward(Tensor dy, FrozenMatrix w, Tensor dx, boolean accumulate);

  /**
   * c = alpha · op(a) · op(b) + beta · c, where op transposes if asked; beta 0 ignores old c. a and
   * b are active, c is active or real.
   */
  void matmul(
      Tensor a,
      boolean transposeA,
      Tensor b,
      boolean transposeB,
      double alpha,
      double beta,
      Tensor c);

  /**
   * into [out, in] = w + scale · b [out, r] · a [r, in], all but w active. Where that is narrower
   * than the sum, some elements are rounded up and others down, so that small changes are not lost.
   */
  void merge(FrozenMatrix w, Tensor b, Tensor a, double scale, Tensor into);

  /**
   * w += scale · left · op(right), in place, for every model over it: none may be at work that
   * matters.
   *
   * @param left active [rows of w, r]
   * @param right active, [r, columns of w] or transposed
   * @throws IllegalArgumentException if w is not kept in full precision: small changes would be
   *     lost
   */
  void change(FrozenMatrix w, Tensor left, Tensor right, boolean transposeRight, double scale);

  /** squares [out] = the sum of the squares of each row of w; real. */
  void rowSquares(FrozenMatrix w, Tensor squares);

  /**
   * lengths [out] of the rows of w + scale·b·a by way of its parts, at least the smallest normal
   * number: √(squares + 2·scale·Σₖ b∘projectedᵀ + scale²·Σₖ b∘bGram).
   *
   * @param squares [out], {@link #rowSquares} of w
   * @param projected [r, out] = a·wᵀ; real
   * @param b [out, r]; active
   * @param bGram [out, r] = b·(a·aᵀ); real
   */
  void rowLengths(
      Tensor squares, Tensor projected, Tensor b, Tensor bGram, double scale, Tensor lengths);

  // ── rows and elements ─────────────────────────────────────────────────────────────────────────

  /** out [N, d] = table [V, d] at rows {@code ids} [N], or += with {@code accumulate}. */
  void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate);

  /** out [M, d] = x [N, d] at {@code rows} [M]. */
  void gatherRows(Tensor x, Tensor rows, Tensor out);

  /**
   * The backward of {@link #gatherRows}: row rows[m] of dx [N, d] += dy [M, d] row m, on zeros or
   * with {@code accumulate} on what is there.
   */
  void gatherRowsBackward(Tensor dy, Tensor rows, Tensor dx, boolean accumulate);

  /** y [N, d] += bias [d] on every row. */
  void addBias(Tensor y, Tensor bias);

  /** db [d] = sum of the rows of dy [N, d], or += with {@code accumulate}; db is real. */
  void addBiasBackward(Tensor dy, Tensor db, boolean accumulate);

  /**
   * y [N, d] = x·by/over + bias, each row times the same; x and y active or real, by, over and bias
   * [d] real; y may be x.
   */
  void scaleColumns(Tensor x, Tensor by, Tensor over, @Nullable Tensor bias, Tensor y);

  /**
   * into [d] = Σ over rows of a∘b / over, or += with {@code accumulate}; a active, b active or
   * real, over and into real.
   */
  void dotColumns(Tensor a, Tensor b, Tensor over, Tensor into, boolean accumulate);

  /** out = a + b, element by element; out may be a or b. */
  void add(Tensor a, Tensor b, Tensor out);

  /** All elements become zero. */
  void zero(Tensor x);

  /**
   * y = x · mask / (1 − rate), the mask a function of (key of the row, column) alone, so that it
   * does not depend on which rows share a micro-batch. Its own backward: apply it to the gradient.
   * y may be x.
   *
   * @param rowKeys I64 [N]
   * @param layer distinguishes the layers of a step
   * @param rate share of elements dropped, in [0, 1)
   */
  void dropout(Tensor x, Tensor rowKeys, long layer, double rate, Tensor y);

  // ── layers ────────────────────────────────────────────────────────────────────────────────────

  /**
   * y = (x − mean)/√(variance + epsilon) · gamma + beta on each row of x [N, d].
   *
   * @param statistics [N, 2], real, kept for the backward, which alone understands it
   */
  void layerNorm(Tensor x, Tensor gamma, Tensor beta, double epsilon, Tensor y, Tensor statistics);

  /** dx of {@link #layerNorm}; gamma and beta are frozen. */
  void layerNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx);

  /**
   * y = x / √(mean of squares + epsilon) · gamma on each row of x [N, d] (Zhang, Sennrich,
   * arXiv:1910.07467).
   *
   * @param statistics [N, 1], real, kept for the backward, which alone understands it
   */
  void rmsNorm(Tensor x, Tensor gamma, double epsilon, Tensor y, Tensor statistics);

  /** dx of {@link #rmsNorm}; gamma is frozen. */
  void rmsNormBackward(
      Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor statistics, Tensor dx);

  /**
   * Rotates each head's pairs of features (i, i + headSize/2) of x [N, heads · headSize] in place
   * by the angle position · frequency[i] (Su et al., arXiv:2104.09864, in Hugging Face's order).
   *
   * @param positions I32 [N]
   * @param frequencies radians per position, headSize/2 of them
   * @param backwards rotate by the negative angle: the gradient
   */
  void rope(Tensor x, Tensor positions, double[] frequencies, boolean backwards);

  /** out = silu(gate) · up, element by element (Shazeer, arXiv:2002.05202). */
  void swiGlu(Tensor gate, Tensor up, Tensor out);

  /** dgate and dup of {@link #swiGlu}; dgate may be dout. */
  void swiGluBackward(Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup);

  /** Columns {@code from …} of x [N, wide], as many as part [N, d] has. */
  void takeColumns(Tensor x, int from, Tensor part);

  /** out [N, k] = x [N, d] at {@code columns} I32 [k]. */
  void gatherColumns(Tensor x, Tensor columns, Tensor out);

  /** Overwrites columns {@code from …} of x [N, wide] with part [N, d]. */
  void putColumns(Tensor part, int from, Tensor x);

  /** y = f(x). */
  void activation(Activation kind, Tensor x, Tensor y);

  /** dx = dy · f′(x), given x and y = f(x); dx may be dy. */
  void activationBackward(Activation kind, Tensor x, Tensor y, Tensor dy, Tensor dx);

  /** Active elements that {@link #attention} keeps for its backward. */
  long attentionKept(AttentionShape shape);

  /** Real elements of scratch that {@link #attention} and its backward need. */
  long attentionScratch(AttentionShape shape);

  /**
   * context = softmax(q·kᵀ/√headSize) · v per row and head. A query looks at the keys from its
   * start to before its end; if there are none its context is zero.
   *
   * @param q as context: [batch · tokens, hidden], heads side by side
   * @param k as v: [batch · keys, kvHidden]
   * @param starts I32 [batch · tokens]: the first key that each query looks at, where its sequence
   *     begins within the row
   * @param ends I32 [batch · tokens]: one past the last key that each query looks at, at most keys
   * @param kept {@link #attentionKept} elements, for the backward, which alone understands them
   * @param scratch {@link #attentionScratch} elements, free again afterwards
   */
  void attention(
      AttentionShape shape,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor kept,
      Tensor context,
      Tensor scratch);

  /** dq, dk and dv of {@link #attention} from its context and the gradient of that. */
  void attentionBackward(
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
      Tensor scratch);

  /**
   * Softmax cross entropy of each row, and its gradient.
   *
   * @param logits [N, classes], real; overwritten
   * @param labels I32 [N]; {@link #IGNORED} marks rows without a target
   * @param losses [N], real: −log p(label), 0 where ignored
   * @param dlogits [N, classes], active: softmax − one-hot, 0 where ignored; null if not wanted;
   *     may be logits if active is real
   */
  void crossEntropy(Tensor logits, Tensor labels, Tensor losses, @Nullable Tensor dlogits);

  /** Label of a row without a target. */
  int IGNORED = -100;

  @Override
  void close();
}
