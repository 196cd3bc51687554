package dev.kindling.tensor.nd4j;

import static dev.kindling.tensor.cpu.CpuMemory.floats;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Tensor;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import org.nd4j.linalg.api.blas.params.MMulTranspose;
import org.nd4j.linalg.api.ops.impl.reduce.Mmul;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Attention as batched products over [batch · heads, tokens, headSize], with the softmax between
 * them in place on the probabilities.
 */
final class Attention {
  private static final MMulTranspose PLAIN = MMulTranspose.allFalse();
  private static final MMulTranspose LEFT = MMulTranspose.builder().transposeA(true).build();
  private static final MMulTranspose RIGHT = MMulTranspose.builder().transposeB(true).build();

  private static final int QUERIES = 0;
  private static final int KEYS = 1;
  private static final int VALUES = 2;
  private static final int CONTEXTS = 3;
  private static final int RESULT = 4;

  private final AttentionShape shape;
  private final long groups;
  private final Tensor[] part = new Tensor[5];
  private final Tensor scores;

  /**
   * Splits the scratch into five tensors by head (of queries, keys, values, contexts, and one for
   * results) and one of scores.
   */
  Attention(AttentionShape shape, Tensor scratch) {
    this.shape = shape;
    this.groups = (long) shape.batch() * shape.heads();
    long from = 0;
    for (int i = 0; i < part.length; i++) {
      int tokens = i == KEYS || i == VALUES || i == RESULT ? shape.keys() : shape.tokens();
      part[i] = scratch.slice(from, groups, tokens, shape.headSize());
      from += part[i].elements();
    }
    scores = scratch.slice(from, groups, shape.tokens(), shape.keys());
  }

  static long scratch(AttentionShape s) {
    long features = (2L * s.tokens() + 3L * s.keys()) * s.hidden();
    return s.batch() * (features + (long) s.heads() * s.tokens() * s.keys());
  }

  void forward(
      Tensor q,
      Tensor k,
      Tensor v,
      IntBuffer starts,
      IntBuffer ends,
      Tensor probabilities,
      Tensor context) {
    Tensor p = grouped(probabilities);
    byHead(q, shape.heads(), part[QUERIES]);
    byHead(k, shape.kvHeads(), part[KEYS]);
    byHead(v, shape.kvHeads(), part[VALUES]);
    product(part[QUERIES], part[KEYS], RIGHT, p);
    softmax(floats(p), starts, ends);
    product(p, part[VALUES], PLAIN, part[CONTEXTS]);
    byToken(part[CONTEXTS], context, shape.heads());
  }

  /** dv = pᵀ·dc; dp = dc·vᵀ; ds = p ∘ (dp − rowsum(dp ∘ p)) / √headSize; dq = ds·k; dk = dsᵀ·q. */
  void backward(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor probabilities,
      Tensor dcontext,
      Tensor dq,
      Tensor dk,
      Tensor dv) {
    Tensor p = grouped(probabilities);
    byHead(dcontext, shape.heads(), part[CONTEXTS]);
    product(p, part[CONTEXTS], LEFT, part[RESULT]);
    byToken(part[RESULT], dv, shape.kvHeads());
    byHead(v, shape.kvHeads(), part[VALUES]);
    product(part[CONTEXTS], part[VALUES], RIGHT, scores);
    softmaxBackward(floats(p), floats(scores));
    byHead(k, shape.kvHeads(), part[KEYS]);
    product(scores, part[KEYS], PLAIN, part[CONTEXTS]);
    byToken(part[CONTEXTS], dq, shape.heads());
    byHead(q, shape.heads(), part[QUERIES]);
    product(scores, part[QUERIES], LEFT, part[RESULT]);
    byToken(part[RESULT], dk, shape.kvHeads());
  }

  private Tensor grouped(Tensor probabilities) {
    return probabilities.slice(0, groups, shape.tokens(), shape.keys());
  }

  private static void product(Tensor a, Tensor b, MMulTranspose transpose, Tensor c) {
    Nd4j.exec(
        new Mmul(
            Arrays.array(a, a.shape()),
            Arrays.array(b, b.shape()),
            Arrays.array(c, c.shape()),
            transpose));
  }

  private void softmax(FloatBuffer p, IntBuffer starts, IntBuffer ends) {
    int tokens = shape.tokens();
    int keys = shape.keys();
    float scale = (float) shape.scale();
    for (int row = 0, rows = Math.toIntExact(groups * tokens); row < rows; row++) {
      int b = row / (shape.heads() * tokens);
      int token = row % tokens;
      int start = starts.get(b * tokens + token);
      int end = Math.max(start, ends.get(b * tokens + token));
      int at = row * keys;
      float largest = Float.NEGATIVE_INFINITY;
      for (int c = start; c < end; c++) {
        largest = Math.max(largest, p.get(at + c));
      }
      double sum = 0;
      for (int c = start; c < end; c++) {
        float e = (float) Math.exp((p.get(at + c) - largest) * scale);
        p.put(at + c, e);
        sum += e;
      }
      float inverse = (float) (1 / sum);
      for (int c = start; c < end; c++) {
        p.put(at + c, p.get(at + c) * inverse);
      }
      for (int c = 0; c < start; c++) {
        p.put(at + c, 0f);
      }
      for (int c = end; c < keys; c++) {
        p.put(at + c, 0f);
      }
    }
  }

  private void softmaxBackward(FloatBuffer p, FloatBuffer dp) {
    int keys = shape.keys();
    float scale = (float) shape.scale();
    for (int row = 0, rows = Math.toIntExact(groups * shape.tokens()); row < rows; row++) {
      int at = row * keys;
      double dot = 0;
      for (int c = 0; c < keys; c++) {
        dot += p.get(at + c) * dp.get(at + c);
      }
      for (int c = 0; c < keys; c++) {
        dp.put(at + c, p.get(at + c) * (float) (dp.get(at + c) - dot) * scale);
      }
    }
  }

  /**
   * [batch, tokens, own heads, headSize] → [batch, heads, tokens, headSize]; a head of keys or
   * values goes to every query head that it serves.
   */
  private void byHead(Tensor from, int ownHeads, Tensor to) {
    int tokens = from.rows() / shape.batch();
    FloatBuffer source = floats(from);
    FloatBuffer target = floats(to);
    int size = shape.headSize();
    int group = shape.heads() / ownHeads;
    for (int b = 0; b < shape.batch(); b++) {
      for (int h = 0; h < shape.heads(); h++) {
        for (int t = 0; t < tokens; t++) {
          target.put(
              headAt(b, h, t, tokens), source, tokenAt(b, h / group, t, tokens, ownHeads), size);
        }
      }
    }
  }

  /** The way back; what the query heads of a group have is added up. */
  private void byToken(Tensor from, Tensor to, int ownHeads) {
    int tokens = to.rows() / shape.batch();
    FloatBuffer source = floats(from);
    FloatBuffer target = floats(to);
    int size = shape.headSize();
    int group = shape.heads() / ownHeads;
    for (int b = 0; b < shape.batch(); b++) {
      for (int h = 0; h < shape.heads(); h++) {
        for (int t = 0; t < tokens; t++) {
          int at = tokenAt(b, h / group, t, tokens, ownHeads);
          int head = headAt(b, h, t, tokens);
          if (h % group == 0) {
            target.put(at, source, head, size);
            continue;
          }
          for (int f = 0; f < size; f++) {
            target.put(at + f, target.get(at + f) + source.get(head + f));
          }
        }
      }
    }
  }

  private int headAt(int b, int h, int t, int tokens) {
    return ((b * shape.heads() + h) * tokens + t) * shape.headSize();
  }

  private int tokenAt(int b, int h, int t, int tokens, int ownHeads) {
    return ((b * tokens + t) * ownHeads + h) * shape.headSize();
  }
}
