package dev.kindling.model;

import dev.kindling.data.TokenBatch;

/**
 * Sums over one micro-batch, not means: the caller divides by the targets of the whole batch.
 *
 * @param loss Σ −log p(label), in nats
 * @param examples those without a target included
 * @param targets labels that count
 * @param correct targets whose class has the largest logit
 * @param tokens tokens that are not padding
 * @param cells tokens that were computed, padding included
 * @param ledger {@link dev.kindling.data.Ledger} of its examples
 */
public record BatchResult(
    double loss, long examples, long targets, long correct, long tokens, long cells, long ledger) {
  /** Of no examples of the stream. */
  public BatchResult(
      double loss, long examples, long targets, long correct, long tokens, long cells) {
    this(loss, examples, targets, correct, tokens, cells, 0);
  }

  /** What a model made of a batch. */
  public static BatchResult of(TokenBatch batch, double loss, long correct) {
    return new BatchResult(
        loss,
        batch.examples(),
        batch.targets(),
        correct,
        batch.realTokens(),
        batch.shape().cells(),
        batch.ledger());
  }
}
