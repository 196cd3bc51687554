package dev.kindling.nn;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A language model's head and its cross entropy, by chunks of tokens, so that no [tokens,
 * vocabulary] matrix is ever whole: h [N, d] → losses [N], the gradient of h, and the head's own.
 *
 * @param head from d features to a logit for each token
 * @param vocabulary number of tokens
 * @param bytes of one chunk's logits
 */
public record TokenLoss(Backend backend, Linear head, int vocabulary, long bytes)
    implements UsesScratch {
  /** 64 MiB: 500 tokens of a vocabulary of 32,000. */
  private static final long LOGIT_BYTES = 64L << 20;

  /** Chunks are multiples of this, where they fit. */
  private static final int STEP = 16;

  public TokenLoss(Backend backend, Linear head, int vocabulary) {
    this(backend, head, vocabulary, LOGIT_BYTES);
  }

  /**
   * What one chunk needs.
   *
   * @param logits [chunk, vocabulary]
   * @param dlogits their gradient: the same tensor, if it is of the same type
   */
  public record Scratch(Tensor logits, Tensor dlogits, Linear.Saved head) {}

  /**
   * Tokens whose logits are held at once: chunks of nearly one size, since the head is read for
   * each and a few last tokens would take as long as fifty.
   */
  public int chunk(int tokens) {
    long fit = bytes / ((long) vocabulary * backend.real().bytes());
    long most = Math.max(1, Math.min(tokens, fit));
    long chunks = (tokens + most - 1) / most;
    return (int) Math.min(most, roundUp(tokens, chunks * STEP) / chunks);
  }

  private static long roundUp(long value, long step) {
    return (value + step - 1) / step * step;
  }

  /** What the head needs for a chunk. */
  @Override
  public long scratch(int rows) {
    return head.scratch(chunk(rows));
  }

  /** Takes the scratch of a step of {@code tokens} tokens. */
  public Scratch scratch(Arena.Layout arena, int tokens) {
    int chunk = chunk(tokens);
    Tensor logits = arena.real(chunk, vocabulary);
    boolean same = backend.active() == backend.real();
    return new Scratch(
        logits, same ? logits : arena.active(chunk, vocabulary), head.save(arena, chunk));
  }

  /** logits [N, vocabulary] = h·wᵀ of at most a chunk's tokens, without dropout. */
  public void logits(Tensor h, Tensor logits, Scratch scratch, Linear.Scratch linear) {
    head.forward(h, logits, scratch.head, linear, false);
  }

  /** Losses of an evaluation. */
  public void losses(
      Tensor h, Tensor labels, Tensor losses, Scratch scratch, Linear.Scratch linear) {
    each(h, labels, losses, null, scratch, linear, false);
  }

  /**
   * Losses in training, dh = (softmax − one-hot)·w, and the gradients of the head.
   *
   * @param labels I32 [N]
   * @param dh null if nothing below learns
   */
  public void lossesAndGradient(
      Tensor h,
      Tensor labels,
      Tensor losses,
      @Nullable Tensor dh,
      Scratch scratch,
      Linear.Scratch linear) {
    each(h, labels, losses, dh, scratch, linear, true);
  }

  private void each(
      Tensor h,
      Tensor labels,
      Tensor losses,
      @Nullable Tensor dh,
      Scratch scratch,
      Linear.Scratch linear,
      boolean training) {
    int d = h.columns();
    int step = scratch.logits.rows();
    boolean learns = training && (dh != null || head.trains());
    for (int from = 0; from < h.rows(); from += step) {
      int rows = Math.min(step, h.rows() - from);
      Tensor x = h.slice((long) from * d, rows, d);
      Tensor logits = scratch.logits.slice(0, rows, vocabulary);
      Tensor dlogits = scratch.dlogits.slice(0, rows, vocabulary);
      Linear.Scratch part = linear.part(from, rows);
      head.forward(x, logits, scratch.head, part, training);
      backend.crossEntropy(
          logits, labels.slice(from, rows), losses.slice(from, rows), learns ? dlogits : null);
      if (learns) {
        Tensor dx = dh == null ? null : dh.slice((long) from * d, rows, d);
        head.backward(x, scratch.head, dlogits, dx, false, part, from > 0);
      }
    }
  }
}
