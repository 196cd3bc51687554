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
 */
public record BatchResult(
    double loss, long examples, long targets, long correct, long tokens, long cells) {
  /** What a model made of a batch. */
  public static BatchResult of(TokenBatch batch, double loss, long correct) {
    return new BatchResult(
        loss,
        batch.examples(),
        batch.targets(),
        correct,
        batch.realTokens(),
        (long) batch.rows() * batch.tokens());
  }
}
