package dev.kindling.tensor.cuda;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cuda.Launch.Address;
import dev.kindling.tensor.cuda.Product.Operand;

/**
 * Attention in chunks of queries: two batched products with the softmax between them. Of the
 * probabilities nothing is kept but a number for each query, and the backward forms them again, so
 * that memory grows with the tokens. The scores of a chunk are [heads, queries, width] in float,
 * and beside them the probabilities in the active type.
 *
 * <p>FLOP of a row with t tokens and d = heads · headSize: forward 4·t·keys·d, backward
 * 10·t·keys·d; half of each where causal, but for the diagonal of chunks.
 */
final class Attention {
  private final WorkQueue queue;
  private final Kernels kernels;
  private final DType active;
  private final long mostScores;

  /**
   * @param mostScores of a chunk, elements: what a step's scratch may hold
   */
  Attention(WorkQueue queue, Kernels kernels, DType active, long mostScores) {
    this.queue = queue;
    this.kernels = kernels;
    this.active = active;
    this.mostScores = mostScores;
  }

  /** Elements of a line of scores: rows of 16 bytes in either type, which products like. */
  private static int width(AttentionShape s) {
    return (s.keys() + 7) / 8 * 8;
  }

  private int chunk(AttentionShape s) {
    return (int) Math.max(1, Math.min(s.tokens(), mostScores / ((long) s.heads() * width(s))));
  }

  private long scores(AttentionShape s) {
    return (long) s.heads() * chunk(s) * width(s);
  }

  /** Active elements: a float for each query and head. */
  long kept(AttentionShape s) {
    return (long) s.batch() * s.heads() * s.tokens() * Float.BYTES / active.bytes();
  }

  /** Real elements: scores, probabilities, gradients of keys and values. */
  long scratch(AttentionShape s) {
    long probabilities = (scores(s) * active.bytes() + Float.BYTES - 1) / Float.BYTES;
    return scores(s) + (probabilities + 3) / 4 * 4 + 2L * s.keys() * s.kvHidden();
  }

  /**
   * Some queries of one row of the batch.
   *
   * @param first of them
   * @param count how many
   * @param seen keys that any of them may look at
   */
  private record Chunk(AttentionShape shape, int row, int first, int count, int seen) {
    int group() {
      return shape.heads() / shape.kvHeads();
    }

    /** First element of its queries in a [batch · tokens, hidden] matrix. */
    long query() {
      return ((long) row * shape.tokens() + first) * shape.hidden();
    }

    /** First element of its keys in a [batch · keys, kvHidden] matrix. */
    long key() {
      return (long) row * shape.keys() * shape.kvHidden();
    }
  }

  /** Where things lie for one chunk. */
  private final class Places {
    private final Chunk c;
    private final AttentionShape s;
    private final long scores;
    private final long p;
    private final long dk;
    private final long dv;

    Places(Chunk chunk, Tensor scratch) {
      this.c = chunk;
      this.s = chunk.shape;
      long all = Attention.this.scores(s);
      this.scores = DeviceMemory.of(scratch);
      this.p = scores + all * Float.BYTES;
      long probabilities = (all * active.bytes() + Float.BYTES - 1) / Float.BYTES;
      this.dk = p + (probabilities + 3) / 4 * 4 * Float.BYTES;
      this.dv = dk + (long) s.keys() * s.kvHidden() * Float.BYTES;
    }

    /** Queries, or what is like them, of the j-th head of each group. */
    Operand queries(Tensor like, int j) {
      long at = c.query() + (long) j * s.headSize();
      return new Operand(
          DeviceMemory.of(like) + at * like.type().bytes(),
          like.type(),
          c.count,
          s.headSize(),
          s.hidden(),
          (long) c.group() * s.headSize(),
          false);
    }

    Operand keys(Tensor like) {
      return keys(DeviceMemory.of(like) + c.key() * like.type().bytes(), like.type());
    }

    /** Of all groups' own heads. */
    Operand keys(long address, DType type) {
      return new Operand(address, type, c.seen, s.headSize(), s.kvHidden(), s.headSize(), false);
    }

    /** [count, seen] of the j-th head of each group. */
    Operand lines(long address, DType type, int j) {
      long line = (long) c.count * width(s);
      return new Operand(
          address + j * line * type.bytes(),
          type,
          c.count,
          c.seen,
          width(s),
          c.group() * line,
          false);
    }

    /** One product for each group's j-th head. */
    void multiply(Operand a, Operand b, Operand into, double beta) {
      queue.run(new Product(a, b, into, 1, beta, s.kvHeads()));
    }

    void formScores(Tensor q, Tensor k) {
      for (int j = 0; j < c.group(); j++) {
        multiply(queries(q, j), keys(k).turnedIf(true), lines(scores, DType.F32, j), 0);
      }
    }

    void softmax(String kernel, Tensor starts, Tensor ends, Tensor kept) {
      long query = (long) c.row * s.tokens() + c.first;
      long sums = ((long) c.row * s.heads() * s.tokens() + c.first) * Float.BYTES;
      kernels.overRows(
          kernel,
          (long) s.heads() * c.count,
          c.seen,
          new Address(scores),
          starts.slice(query),
          ends.slice(query),
          new Address(p),
          new Address(DeviceMemory.of(kept) + sums),
          (float) s.scale(),
          c.count,
          c.seen,
          width(s),
          s.tokens());
    }
  }

  private interface EachChunk {
    void run(Places places);
  }

  private void eachChunk(AttentionShape s, int row, Tensor scratch, EachChunk each) {
    int step = chunk(s);
    for (int first = 0; first < s.tokens(); first += step) {
      int count = Math.min(step, s.tokens() - first);
      int seen = s.causal() ? s.keys() - s.tokens() + first + count : s.keys();
      each.run(new Places(new Chunk(s, row, first, count, seen), scratch));
    }
  }

  void forward(
      AttentionShape s,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor kept,
      Tensor context,
      Tensor scratch) {
    for (int row = 0; row < s.batch(); row++) {
      eachChunk(
          s,
          row,
          scratch,
          at -> {
            at.formScores(q, k);
            at.softmax("attention_softmax", starts, ends, kept);
            for (int j = 0; j < at.c.group(); j++) {
              at.multiply(at.lines(at.p, active, j), at.keys(v), at.queries(context, j), 0);
            }
          });
    }
  }

  void backward(
      AttentionShape s,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor kept,
      Tensor dcontext,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor scratch) {
    for (int row = 0; row < s.batch(); row++) {
      Places whole = new Places(new Chunk(s, row, 0, 0, s.keys()), scratch);
      long bytes = (long) s.keys() * s.kvHidden() * Float.BYTES;
      queue.run(new Clear(whole.dk, 2 * bytes));
      eachChunk(
          s,
          row,
          scratch,
          at -> {
            at.formScores(q, k);
            at.softmax("attention_again", starts, ends, kept);
            for (int j = 0; j < at.c.group(); j++) { // one after another: they share keys
              at.multiply(
                  at.lines(at.p, active, j).turnedIf(true),
                  at.queries(dcontext, j),
                  at.keys(at.dv, DType.F32),
                  1);
              at.multiply(
                  at.queries(dcontext, j),
                  at.keys(v).turnedIf(true),
                  at.lines(at.scores, DType.F32, j),
                  0);
            }
            kernels.overRows(
                "attention_backward",
                (long) s.heads() * at.c.count,
                at.c.seen,
                new Address(at.p),
                new Address(at.scores),
                (float) s.scale(),
                at.c.seen,
                width(s));
            for (int j = 0; j < at.c.group(); j++) {
              at.multiply(at.lines(at.p, active, j), at.keys(k), at.queries(dq, j), 0);
              at.multiply(
                  at.lines(at.p, active, j).turnedIf(true),
                  at.queries(q, j),
                  at.keys(at.dk, DType.F32),
                  1);
            }
          });
      rounded(whole.dk, dk, whole.c.key(), (long) s.keys() * s.kvHidden());
      rounded(whole.dv, dv, whole.c.key(), (long) s.keys() * s.kvHidden());
    }
  }

  private void rounded(long from, Tensor to, long at, long count) {
    kernels.overElements(
        "convert",
        count,
        new Address(from),
        DeviceMemory.code(DType.F32),
        to.slice(at),
        DeviceMemory.code(to.type()),
        count);
  }
}
