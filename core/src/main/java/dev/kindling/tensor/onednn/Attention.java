package dev.kindling.tensor.onednn;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;

/**
 * Attention by blocks of queries: scores, softmax and context of one block of one row at a time, of
 * all heads, over no more keys than the block looks at. The backward computes the probabilities
 * again from queries and keys (one product of five) rather than keep [heads, tokens, keys] of every
 * layer. Heads are strides: nothing is copied into another order.
 */
final class Attention {
  /** Queries of a block. */
  private static final int BLOCK = 128;

  /** Keys of a block are rounded up to a multiple of this, so that shapes come again. */
  private static final int STEP = 64;

  private final Products products;
  private final Softmax softmax;
  private final Elementwise elementwise;

  Attention(Products products, Softmax softmax, Elementwise elementwise) {
    this.products = products;
    this.softmax = softmax;
    this.elementwise = elementwise;
  }

  /** F32 elements of scratch. */
  static long scratch(AttentionShape s, boolean half) {
    long queries = Math.min(s.tokens(), BLOCK);
    long block = s.heads() * queries * s.keys();
    long sums = half ? 2L * s.keys() * s.kvHidden() : 0;
    return (half ? 3 : 2) * block + queries * s.keys() + sums;
  }

  /** The scratch of a call, in parts. */
  private record Scratch(Tensor scores, Tensor slopes, Tensor halves, Tensor mask, Tensor sums) {
    static Scratch of(Tensor all, AttentionShape s, boolean half) {
      long queries = Math.min(s.tokens(), BLOCK);
      long block = s.heads() * queries * s.keys();
      long mask = queries * s.keys();
      long from = 2 * block + mask;
      return new Scratch(
          all.slice(0, block),
          all.slice(block, block),
          half ? CpuMemory.halved(all.slice(from, block)) : all,
          all.slice(2 * block, mask),
          half ? all.slice(from + block, 2L * s.keys() * s.kvHidden()) : all);
    }
  }

  /** A block of queries of one row, and the keys that they look at. */
  private record Block(int row, int from, int queries, int firstKey, int keys, boolean all) {}

  void forward(
      AttentionShape s,
      Tensor q,
      Tensor k,
      Tensor v,
      IntBuffer starts,
      IntBuffer lengths,
      Tensor context,
      Tensor scratch) {
    boolean half = q.type() == DType.BF16;
    Scratch parts = Scratch.of(scratch, s, half);
    for (int row = 0; row < s.batch(); row++) {
      for (int from = 0; from < s.tokens(); from += BLOCK) {
        Block block = block(s, row, from, starts, lengths);
        Operand p = scores(s, block, half ? parts.halves : parts.scores);
        probabilities(s, block, q, k, starts, lengths, parts, p);
        products.multiply(p, keys(s, block, v), 1, 0, queries(s, block, context));
      }
    }
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
      IntBuffer lengths,
      Tensor dcontext,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor scratch) {
    boolean half = q.type() == DType.BF16;
    Scratch parts = Scratch.of(scratch, s, half);
    long all = (long) s.keys() * s.kvHidden();
    for (int row = 0; row < s.batch(); row++) {
      // Keys gather gradients from every block: in F32, whatever they end up in.
      Tensor rowDk = dk.slice(row * all, s.keys(), s.kvHidden());
      Tensor rowDv = dv.slice(row * all, s.keys(), s.kvHidden());
      Tensor keySums = half ? parts.sums.slice(0, s.keys(), s.kvHidden()) : rowDk;
      Tensor valueSums = half ? parts.sums.slice(all, s.keys(), s.kvHidden()) : rowDv;
      CpuMemory.zero(keySums);
      CpuMemory.zero(valueSums);
      for (int from = 0; from < s.tokens(); from += BLOCK) {
        Block block = block(s, row, from, starts, lengths);
        Operand p = scores(s, block, parts.scores);
        probabilities(s, block, q, k, starts, lengths, parts, p);
        Operand dp = scores(s, block, parts.slopes);
        products.multiply(queries(s, block, dcontext), keys(s, block, v).turned(), 1, 0, dp);
        Tensor small = parts.halves;
        if (half) {
          elementwise.copy(p, scores(s, block, small));
        }
        gather(s, block, half ? small : parts.scores, dcontext, 1, valueSums);
        Operand ds = half ? scores(s, block, small) : dp;
        softmax.backward(p, dp, ds);
        products.multiply(ds, keys(s, block, k), s.scale(), 0, queries(s, block, dq));
        gather(s, block, half ? small : parts.slopes, q, s.scale(), keySums);
      }
      if (half) {
        elementwise.copy(Operand.matrix(keySums), Operand.matrix(rowDk));
        elementwise.copy(Operand.matrix(valueSums), Operand.matrix(rowDv));
      }
    }
  }

  /** sums [keys, kvHidden] += scale · scoresᵀ·y of each head, where y has the queries' rows. */
  private void gather(
      AttentionShape s, Block block, Tensor scores, Tensor y, double scale, Tensor sums) {
    int group = s.heads() / s.kvHeads();
    int d = s.headSize();
    long square = (long) block.queries * block.keys;
    long first = ((long) block.row * s.tokens() + block.from) * s.hidden();
    for (int g = 0; g < group; g++) {
      Operand part =
          new Operand(
              CpuMemory.address(scores.slice(g * square, 1)),
              scores.type(),
              new long[] {s.kvHeads(), block.keys, block.queries},
              new long[] {group * square, 1, block.keys});
      Operand rows =
          new Operand(
              CpuMemory.address(y.slice(first + (long) g * d, 1)),
              y.type(),
              new long[] {s.kvHeads(), block.queries, d},
              new long[] {(long) group * d, s.hidden(), 1});
      Operand into =
          new Operand(
              CpuMemory.address(sums.slice((long) block.firstKey * s.kvHidden(), 1)),
              sums.type(),
              new long[] {s.kvHeads(), block.keys, d},
              new long[] {d, s.kvHidden(), 1});
      products.multiply(part, rows, scale, 1, into);
    }
  }

  private static Block block(
      AttentionShape s, int row, int from, IntBuffer starts, IntBuffer lengths) {
    int queries = Math.min(BLOCK, s.tokens() - from);
    int length = lengths.get(row);
    int lowest = s.keys();
    int highest = 0;
    for (int t = from; t < from + queries; t++) {
      lowest = Math.min(lowest, starts.get(row * s.tokens() + t));
      highest = Math.max(highest, s.end(t, length));
    }
    int first = Math.min(lowest, Math.max(highest - 1, 0)) / STEP * STEP;
    int keys = Math.min((Math.max(highest - first, 1) + STEP - 1) / STEP * STEP, s.keys() - first);
    boolean all = true;
    for (int t = from; t < from + queries && all; t++) {
      all = starts.get(row * s.tokens() + t) <= first && s.end(t, length) >= first + keys;
    }
    return new Block(row, from, queries, first, keys, all);
  }

  /** p = softmax(q·kᵀ · scale) over the keys that each query sees; zero where it sees none. */
  private void probabilities(
      AttentionShape s,
      Block block,
      Tensor q,
      Tensor k,
      IntBuffer starts,
      IntBuffer lengths,
      Scratch parts,
      Operand p) {
    Operand raw = scores(s, block, parts.scores);
    Operand left = queries(s, block, q);
    Operand right = keys(s, block, k).turned();
    if (block.all) {
      products.multiply(left, right, s.scale(), 0, raw);
      softmax.forward(raw, p);
      return;
    }
    boolean[] blind = mask(s, block, starts, lengths, parts.mask);
    Operand mask = Operand.dense(parts.mask, 1, 1, block.queries, block.keys);
    products.multiplyAndAdd(left, right, s.scale(), mask, raw);
    softmax.forward(raw, p);
    for (int t = 0; t < block.queries; t++) {
      for (int h = 0; blind[t] && h < s.heads(); h++) {
        long at = ((long) h * block.queries + t) * block.keys;
        boolean real = p.type() == DType.F32;
        CpuMemory.zero((real ? parts.scores : parts.halves).slice(at, block.keys));
      }
    }
  }

  /**
   * Writes 0 where a query looks, −∞ elsewhere.
   *
   * @return which queries see nothing
   */
  private static boolean[] mask(
      AttentionShape s, Block block, IntBuffer starts, IntBuffer lengths, Tensor mask) {
    boolean[] blind = new boolean[block.queries];
    float[] line = new float[block.keys];
    FloatBuffer into = CpuMemory.floats(mask);
    for (int t = 0; t < block.queries; t++) {
      int token = block.from + t;
      int start = starts.get(block.row * s.tokens() + token) - block.firstKey;
      int end = s.end(token, lengths.get(block.row)) - block.firstKey;
      blind[t] = start >= end;
      Arrays.fill(line, Float.NEGATIVE_INFINITY);
      if (!blind[t]) {
        Arrays.fill(line, start, end, 0f);
      }
      into.put(t * block.keys, line);
    }
    return blind;
  }

  /** [kvHeads, heads of each, queries, keys]. */
  private static Operand scores(AttentionShape s, Block block, Tensor scratch) {
    return Operand.dense(scratch, s.kvHeads(), s.heads() / s.kvHeads(), block.queries, block.keys);
  }

  /** [kvHeads, heads of each, queries, headSize] of a tensor [batch · tokens, hidden]. */
  private static Operand queries(AttentionShape s, Block block, Tensor t) {
    long first = ((long) block.row * s.tokens() + block.from) * s.hidden();
    int group = s.heads() / s.kvHeads();
    return new Operand(
        CpuMemory.address(t.slice(first, 1)),
        t.type(),
        new long[] {s.kvHeads(), group, block.queries, s.headSize()},
        new long[] {(long) group * s.headSize(), s.headSize(), s.hidden(), 1});
  }

  /** [kvHeads, 1, keys, headSize] of a tensor [batch · keys, kvHidden]. */
  private static Operand keys(AttentionShape s, Block block, Tensor t) {
    long first = ((long) block.row * s.keys() + block.firstKey) * s.kvHidden();
    return new Operand(
        CpuMemory.address(t.slice(first, 1)),
        t.type(),
        new long[] {s.kvHeads(), 1, block.keys, s.headSize()},
        new long[] {s.headSize(), s.headSize(), s.kvHidden(), 1});
  }
}
