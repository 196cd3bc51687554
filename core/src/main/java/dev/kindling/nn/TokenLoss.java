package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Cross entropy over a vocabulary, by chunks of tokens, so that no [tokens, vocabulary] matrix is
 * ever whole: h [N, d] → losses [N], and the gradient of h.
 *
 * @param head frozen w [vocabulary, d]; null if tied
 * @param table the embedding table [vocabulary, d] that is the head if tied
 * @param vocabulary number of tokens
 * @param bytes of one chunk's logits
 */
public record TokenLoss(
    Backend backend, @Nullable FrozenMatrix head, Tensor table, int vocabulary, long bytes) {
  /** 64 MiB: 500 tokens of a vocabulary of 32,000. */
  private static final long LOGIT_BYTES = 64L << 20;

  public TokenLoss(Backend backend, @Nullable FrozenMatrix head, Tensor table, int vocabulary) {
    this(backend, head, table, vocabulary, LOGIT_BYTES);
  }

  /** Tokens whose logits are held at once. */
  public int chunk(int tokens) {
    long fit = bytes / ((long) vocabulary * backend.real().bytes());
    return (int) Math.max(1, Math.min(tokens, fit));
  }

  /** Scratch for one chunk's logits. */
  public Tensor save(Arena.Layout arena, int tokens) {
    return arena.real(chunk(tokens), vocabulary);
  }

  /** logits [N, vocabulary] = h·wᵀ. */
  public void logits(Tensor h, Tensor logits) {
    if (head == null) {
      backend.matmul(h, false, table, true, 1, 0, logits);
    } else {
      backend.linear(h, head, null, logits);
    }
  }

  /**
   * Losses and, if wanted, dh = (softmax − one-hot)·w.
   *
   * @param labels I32 [N]
   * @param dh null if nothing below learns
   */
  public void lossAndGradient(
      Tensor h, Tensor labels, Tensor losses, @Nullable Tensor dh, Tensor scratch) {
    int d = h.columns();
    int step = scratch.rows();
    for (int from = 0; from < h.rows(); from += step) {
      int rows = Math.min(step, h.rows() - from);
      Tensor part = h.slice((long) from * d, rows, d);
      Tensor logits = scratch.slice(0, rows, vocabulary);
      logits(part, logits);
      backend.crossEntropy(
          logits, labels.slice(from, rows), losses.slice(from, rows), dh == null ? null : logits);
      if (dh != null) {
        backward(logits, dh.slice((long) from * d, rows, d));
      }
    }
  }

  private void backward(Tensor dlogits, Tensor dh) {
    if (head == null) {
      backend.matmul(dlogits, false, table, false, 1, 0, dh);
    } else {
      backend.linearBackward(dlogits, head, dh, false);
    }
  }
}
