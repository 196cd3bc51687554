package dev.kindling.tensor.onednn;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import dev.kindling.tensor.cpu.SoftmaxGradient;
import dev.kindling.tensor.cpu.Workers;
import java.nio.IntBuffer;
import java.util.List;

/**
 * Attention: some heads of one row at a time, by blocks of queries, over no more keys than a block
 * looks at. The backward computes the probabilities again from queries and keys (one product of
 * five) rather than keep [heads, tokens, keys] of every layer.
 *
 * <p>Threads take different heads or rows, each with primitives of a single thread, and meet once
 * for each layer: of products as small as these, two threads together compute no more than one
 * alone (bench/results).
 */
final class Attention {
  private final Workers workers;
  private final List<Kernels> kernels;
  private final SoftmaxGradient gradient;
  private final boolean loops = InstructionSet.endsWithAvx2();

  /** The primitives of one thread. */
  record Kernels(Products products, Softmax softmax, Elementwise elementwise) {
    Kernels(Primitives single) {
      this(new Products(single), new Softmax(single), new Elementwise(single));
    }
  }

  /**
   * @param kernels of each worker
   */
  Attention(Workers workers, List<Kernels> kernels) {
    this.workers = workers;
    this.kernels = kernels;
    this.gradient = new SoftmaxGradient(workers);
  }

  /** F32 elements of scratch. */
  long scratch(AttentionShape s, boolean half) {
    return workers.count() * Scratch.elements(s, half);
  }

  /**
   * The scratch of one worker.
   *
   * @param scores [heads, queries, keys] before the softmax and, of a backward, after it
   * @param slopes their gradients
   * @param halves probabilities as they are multiplied: BF16, or the scores themselves
   * @param keys gradients of keys [keys, width], which every block adds to: in F32, whatever they
   *     end up in
   * @param values likewise of values
   */
  private record Scratch(Tensor scores, Tensor slopes, Tensor halves, Tensor keys, Tensor values) {
    private static long block(AttentionShape s) {
      return (long) Heads.together(s) * (s.heads() / s.kvHeads()) * Window.most(s) * s.keys();
    }

    private static long sums(AttentionShape s) {
      return (long) s.keys() * Heads.together(s) * s.headSize();
    }

    static long elements(AttentionShape s, boolean half) {
      return 2 * block(s) + (half ? (block(s) + 1) / 2 : 0) + 2 * sums(s);
    }

    static Scratch of(Tensor all, AttentionShape s, boolean half, int worker) {
      Tensor own = all.slice(worker * elements(s, half), elements(s, half));
      long block = block(s);
      long sums = sums(s);
      Tensor scores = own.slice(2 * sums, block);
      long halves = 2 * (sums + block);
      return new Scratch(
          scores,
          own.slice(2 * sums + block, block),
          half ? CpuMemory.halved(own.slice(halves, (block + 1) / 2)) : scores,
          own.slice(0, sums),
          own.slice(sums, sums));
    }
  }

  /** context of q [batch · tokens, hidden], k and v [batch · keys, kvHidden]. */
  void forward(
      AttentionShape s,
      Tensor q,
      Tensor k,
      Tensor v,
      IntBuffer starts,
      IntBuffer ends,
      Tensor context,
      Tensor scratch) {
    boolean half = q.type() == DType.BF16;
    workers.each(
        Heads.pieces(s),
        (worker, piece) -> {
          Heads heads = Heads.piece(s, piece);
          Scratch own = Scratch.of(scratch, s, half, worker);
          Kernels on = kernels.get(worker);
          for (int b = 0; b < Window.blocks(s); b++) {
            Window window = Window.of(s, heads.row(), b, starts, ends);
            probabilities(on, heads, window, q, k, own.scores, own.halves);
            Operand p = heads.scores(window, own.halves);
            on.products.multiply(p, heads.keys(window, v), 1, 0, heads.queries(window, context));
          }
        });
  }

  /**
   * dv = pᵀ·dc; dp = dc·vᵀ; ds = p ∘ (dp − rowsum(dp ∘ p)); dq = ds·k · scale; dk = dsᵀ·q · scale.
   */
  void backward(
      AttentionShape s,
      Tensor q,
      Tensor k,
      Tensor v,
      IntBuffer starts,
      IntBuffer ends,
      Tensor dcontext,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor scratch) {
    boolean half = q.type() == DType.BF16;
    workers.each(
        Heads.pieces(s),
        (worker, piece) -> {
          Heads heads = Heads.piece(s, piece);
          Scratch own = Scratch.of(scratch, s, half, worker);
          Kernels on = kernels.get(worker);
          CpuMemory.zero(own.keys);
          CpuMemory.zero(own.values);
          for (int b = 0; b < Window.blocks(s); b++) {
            Window window = Window.of(s, heads.row(), b, starts, ends);
            probabilities(on, heads, window, q, k, own.scores, own.scores);
            Operand p = heads.scores(window, own.scores);
            Operand dp = heads.scores(window, own.slopes);
            Operand dc = heads.queries(window, dcontext);
            on.products.multiply(dc, heads.keys(window, v).turned(), 1, 0, dp);
            if (half) {
              on.elementwise.copy(p, heads.scores(window, own.halves));
            }
            gather(on, heads, window, own.halves, dcontext, 1, own.values);
            Tensor slopes = half ? own.halves : own.slopes;
            Operand ds = heads.scores(window, slopes);
            if (loops && !half) {
              long scores = (long) heads.count() * heads.group() * window.queries() * window.keys();
              Tensor chances = own.scores.slice(0, scores);
              gradient.of(worker, chances, own.slopes.slice(0, scores), window.keys());
            } else {
              on.softmax.backward(p, dp, ds);
            }
            Operand below = heads.queries(window, dq);
            on.products.multiply(ds, heads.keys(window, k), s.scale(), 0, below);
            gather(on, heads, window, slopes, q, s.scale(), own.keys);
          }
          on.elementwise.copy(Operand.dense(own.keys, s.keys(), heads.width()), heads.allKeys(dk));
          on.elementwise.copy(
              Operand.dense(own.values, s.keys(), heads.width()), heads.allKeys(dv));
        });
  }

  /**
   * p = softmax(q·kᵀ · scale) over the keys that each query sees; zero where it sees none.
   *
   * @param scores scratch; may be p
   */
  private static void probabilities(
      Kernels on, Heads heads, Window window, Tensor q, Tensor k, Tensor scores, Tensor p) {
    Operand raw = heads.scores(window, scores);
    Operand right = heads.keys(window, k).turned();
    on.products.multiply(heads.queries(window, q), right, heads.s().scale(), 0, raw);
    int all = heads.count() * heads.group();
    window.hide(scores, all);
    on.softmax.forward(raw, heads.scores(window, p));
    window.clearBlind(p, all);
  }

  /** sums [keys, width] += scale · scoresᵀ·y of each head, where y has the queries' rows. */
  private static void gather(
      Kernels on, Heads heads, Window window, Tensor scores, Tensor y, double scale, Tensor sums) {
    for (int g = 0; g < heads.group(); g++) {
      Operand part = heads.scores(window, scores, g).turned();
      Operand rows = heads.queries(window, y, g);
      on.products.multiply(part, rows, scale, 1, heads.sums(window, sums));
    }
  }
}
