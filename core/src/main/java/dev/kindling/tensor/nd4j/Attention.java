package dev.kindling.tensor.nd4j;

import static dev.kindling.tensor.nd4j.Nd4jMemory.floats;

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

  private final AttentionShape shape;
  private final long groups;
  private final Tensor[] part = new Tensor[5];
  private final Tensor scores;

  /** Splits the scratch into five tensors by head and one of scores. */
  Attention(AttentionShape shape, Tensor scratch) {
    this.shape = shape;
    this.groups = (long) shape.batch() * shape.heads();
    long size = groups * shape.tokens() * shape.headSize();
    for (int i = 0; i < part.length; i++) {
      part[i] = scratch.slice(i * size, groups, shape.tokens(), shape.headSize());
    }
    scores = scratch.slice(part.length * size, groups, shape.tokens(), shape.tokens());
  }

  static long scratch(AttentionShape s) {
    return (long) s.batch() * s.tokens() * (5L * s.hidden() + (long) s.heads() * s.tokens());
  }

  void forward(
      Tensor q, Tensor k, Tensor v, IntBuffer lengths, Tensor probabilities, Tensor context) {
    Tensor p = grouped(probabilities);
    byHead(q, shape.heads(), part[0]);
    byHead(k, shape.kvHeads(), part[1]);
    byHead(v, shape.kvHeads(), part[2]);
    product(part[0], part[1], RIGHT, p);
    softmax(floats(p), lengths);
    product(p, part[2], PLAIN, part[3]);
    byToken(part[3], context, shape.heads());
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
    byHead(dcontext, shape.heads(), part[3]);
    product(p, part[3], LEFT, part[4]);
    byToken(part[4], dv, shape.kvHeads());
    byHead(v, shape.kvHeads(), part[2]);
    product(part[3], part[2], RIGHT, scores);
    softmaxBackward(floats(p), floats(scores));
    byHead(k, shape.kvHeads(), part[1]);
    product(scores, part[1], PLAIN, part[4]);
    byToken(part[4], dq, shape.heads());
    byHead(q, shape.heads(), part[0]);
    product(scores, part[0], LEFT, part[4]);
    byToken(part[4], dk, shape.kvHeads());
  }

  private Tensor grouped(Tensor probabilities) {
    return probabilities.reshape(groups, shape.tokens(), shape.tokens());
  }

  private static void product(Tensor a, Tensor b, MMulTranspose transpose, Tensor c) {
    Nd4j.exec(
        new Mmul(
            Nd4jBackend.array(a, a.shape()),
            Nd4jBackend.array(b, b.shape()),
            Nd4jBackend.array(c, c.shape()),
            transpose));
  }

  private void softmax(FloatBuffer p, IntBuffer lengths) {
    int tokens = shape.tokens();
    float scale = (float) shape.scale();
    for (int row = 0, rows = Math.toIntExact(groups * tokens); row < rows; row++) {
      int length = shape.visible(row % tokens, lengths.get(row / (shape.heads() * tokens)));
      int at = row * tokens;
      float largest = Float.NEGATIVE_INFINITY;
      for (int c = 0; c < length; c++) {
        largest = Math.max(largest, p.get(at + c));
      }
      double sum = 0;
      for (int c = 0; c < length; c++) {
        float e = (float) Math.exp((p.get(at + c) - largest) * scale);
        p.put(at + c, e);
        sum += e;
      }
      float inverse = (float) (1 / sum);
      for (int c = 0; c < length; c++) {
        p.put(at + c, p.get(at + c) * inverse);
      }
      for (int c = length; c < tokens; c++) {
        p.put(at + c, 0f);
      }
    }
  }

  private void softmaxBackward(FloatBuffer p, FloatBuffer dp) {
    int tokens = shape.tokens();
    float scale = (float) shape.scale();
    for (int row = 0, rows = Math.toIntExact(groups * tokens); row < rows; row++) {
      int at = row * tokens;
      double dot = 0;
      for (int c = 0; c < tokens; c++) {
        dot += p.get(at + c) * dp.get(at + c);
      }
      for (int c = 0; c < tokens; c++) {
        dp.put(at + c, p.get(at + c) * (float) (dp.get(at + c) - dot) * scale);
      }
    }
  }

  /**
   * [batch, tokens, own heads, headSize] → [batch, heads, tokens, headSize]; a head of keys or
   * values goes to every query head that it serves.
   */
  private void byHead(Tensor from, int ownHeads, Tensor to) {
    FloatBuffer source = floats(from);
    FloatBuffer target = floats(to);
    int size = shape.headSize();
    int group = shape.heads() / ownHeads;
    for (int b = 0; b < shape.batch(); b++) {
      for (int h = 0; h < shape.heads(); h++) {
        for (int t = 0; t < shape.tokens(); t++) {
          target.put(headAt(b, h, t), source, tokenAt(b, h / group, t, ownHeads), size);
        }
      }
    }
  }

  /** The way back; what the query heads of a group have is added up. */
  private void byToken(Tensor from, Tensor to, int ownHeads) {
    FloatBuffer source = floats(from);
    FloatBuffer target = floats(to);
    int size = shape.headSize();
    int group = shape.heads() / ownHeads;
    for (int b = 0; b < shape.batch(); b++) {
      for (int h = 0; h < shape.heads(); h++) {
        for (int t = 0; t < shape.tokens(); t++) {
          int at = tokenAt(b, h / group, t, ownHeads);
          int head = headAt(b, h, t);
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

  private int headAt(int b, int h, int t) {
    return ((b * shape.heads() + h) * shape.tokens() + t) * shape.headSize();
  }

  private int tokenAt(int b, int h, int t, int ownHeads) {
    return ((b * shape.tokens() + t) * ownHeads + h) * shape.headSize();
  }
}
