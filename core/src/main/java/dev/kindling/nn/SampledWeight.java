package dev.kindling.nn;

import dev.kindling.lora.Selection;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import java.util.Arrays;
import java.util.List;

/**
 * Mutable, shared by all tasks: a frozen weight w [out, in] as gradients go on through it (CE-LoRA,
 * Chen et al., arXiv:2502.01378). With b0 [out, r0] and a0 [r0, in] its largest singular vectors,
 * and I the output features that are chosen,
 *
 * <pre>
 *   dx [N, in] = dy[:, I]·(w − b0·a0)[I, :] + (dy·b0)·a0
 * </pre>
 *
 * <p>instead of dy·w: N·(k·in + r0·(in + out)) operations for N·in·out. The rows I are gathered
 * when the choice changes, not in every step, into memory that stays: whoever still computes then
 * is of an earlier step, whose result nobody reads. Where all features are chosen it is dy·w.
 */
public final class SampledWeight {
  /** Rows that are gathered at once, through memory of their own. */
  private static final int BLOCK = 64;

  private final FrozenMatrix w;
  private final Tensor a0;
  private final Tensor b0;
  private final Tensor rows;
  private final Tensor chosen;
  private final Tensor inverse;
  private final boolean byGradient;
  private boolean all;
  private int[] now = new int[0];

  private SampledWeight(
      FrozenMatrix w,
      Tensor a0,
      Tensor b0,
      Tensor rows,
      Tensor chosen,
      Tensor inverse,
      boolean byGradient,
      boolean all) {
    this.w = w;
    this.a0 = a0;
    this.b0 = b0;
    this.rows = rows;
    this.chosen = chosen;
    this.inverse = inverse;
    this.byGradient = byGradient;
    this.all = all;
  }

  /**
   * The exact part of a weight: a0 [r0, in], b0 [out, r0]; of what is left of its rows the squared
   * lengths [out].
   */
  public record Parts(float[] a0, float[] b0, float[] squares) {}

  /**
   * With all features chosen.
   *
   * @param kept features that a choice has
   * @param rank r0
   */
  public static SampledWeight of(
      Backend backend, FrozenMatrix w, int kept, int rank, Parts parts, boolean byGradient) {
    Tensor a0 = backend.allocate(backend.active(), rank, w.in());
    Tensor b0 = backend.allocate(backend.active(), w.out(), rank);
    Tensor inverse = backend.allocate(backend.real(), w.out());
    backend.write(a0, 0, parts.a0, 0, parts.a0.length);
    backend.write(b0, 0, parts.b0, 0, parts.b0.length);
    float[] over = new float[w.out()];
    for (int row = 0; row < over.length; row++) {
      over[row] = 1 / Math.max(Float.MIN_NORMAL, parts.squares[row]);
    }
    backend.write(inverse, 0, over, 0, over.length);
    Tensor rows = backend.allocate(backend.active(), kept, w.in());
    Tensor chosen = backend.allocate(DType.I32, kept);
    return new SampledWeight(w, a0, b0, rows, chosen, inverse, byGradient, true);
  }

  /** Without memory, with a choice; to plan a model with, not to be closed. */
  public static SampledWeight unplaced(Backend backend, FrozenMatrix w, int kept, int rank) {
    DType active = backend.active();
    return new SampledWeight(
        w,
        Arena.unplaced(active, rank, w.in()),
        Arena.unplaced(active, w.out(), rank),
        Arena.unplaced(active, kept, w.in()),
        Arena.unplaced(DType.I32, kept),
        Arena.unplaced(backend.real(), w.out()),
        true,
        false);
  }

  /** Bytes of backend memory, w not counted. */
  public long bytes() {
    return bytes(a0) + bytes(b0) + bytes(rows) + bytes(chosen) + bytes(inverse);
  }

  /** Features that a choice has. */
  int kept() {
    return rows.rows();
  }

  /** r0. */
  int rank() {
    return a0.rows();
  }

  private static long bytes(Tensor t) {
    return t.elements() * t.type().bytes();
  }

  /** Active elements of scratch for {@code n} rows: chosen columns of dy, and its projection. */
  long scratch(int n) {
    return (long) n * (rows.rows() + a0.rows());
  }

  /**
   * Takes the features that a step is to go on through; gathers their rows if they are others.
   *
   * @param marks {@link Selection}'s of each feature, from {@code from} on
   * @return whether the step is to say what they weigh
   */
  synchronized boolean choose(Backend backend, float[] marks, int from) {
    int[] wanted = Selection.chosen(marks, from, w.out());
    all = wanted.length > rows.rows();
    if (!all && !Arrays.equals(wanted, now)) {
      gather(backend, wanted);
      now = wanted;
    }
    return Selection.asked(marks, from);
  }

  private void gather(Backend backend, int[] wanted) {
    backend.write(chosen, wanted);
    Tensor block = backend.allocate(backend.active(), BLOCK, a0.rows());
    for (int at = 0; at < wanted.length; at += BLOCK) {
      int n = Math.min(BLOCK, wanted.length - at);
      Tensor some = chosen.slice(at, n);
      Tensor to = rows.slice((long) at * w.in(), n, w.in());
      Tensor part = block.slice(0, n, a0.rows());
      backend.embed(some, w, to, false);
      backend.gatherRows(b0, some, part);
      backend.matmul(part, false, a0, false, -1, 1, to); // [n, r0]·[r0, in]
    }
    backend.free(block);
  }

  /** dx [N, in] of dy [N, out], or += with {@code accumulate}. */
  void inputGradient(Backend backend, Tensor dy, Tensor dx, boolean accumulate, Tensor room) {
    if (all) {
      backend.linearBackward(dy, w, dx, accumulate);
      return;
    }
    int n = dy.rows();
    Tensor some = room.slice(0, n, rows.rows());
    Tensor projected = room.slice((long) n * rows.rows(), n, a0.rows());
    backend.gatherColumns(dy, chosen, some);
    backend.matmul(some, false, rows, false, 1, accumulate ? 1 : 0, dx); // [N, k]·[k, in]
    backend.matmul(dy, false, b0, false, 1, 0, projected); // [N, out]·[out, r0]
    backend.matmul(projected, false, a0, false, 1, 1, dx); // [N, r0]·[r0, in]
  }

  /**
   * What each feature weighs, squared: Σ dy² times the square of what is left of its row, or that
   * alone. [out]
   */
  void score(Backend backend, Tensor dy, Tensor into, boolean accumulate) {
    if (byGradient) {
      backend.dotColumns(dy, dy, inverse, into, accumulate);
      return;
    }
    float[] over = new float[w.out()];
    backend.read(inverse, over);
    for (int row = 0; row < over.length; row++) {
      over[row] = 1 / over[row];
    }
    backend.write(into, 0, over, 0, over.length);
  }

  /** Frees the memory; w stays. */
  public void release(Backend backend) {
    List.of(a0, b0, rows, chosen, inverse).forEach(backend::free);
  }
}
