package dev.kindling.model;

/**
 * Sums over one micro-batch, not means: the caller divides by the targets of the whole batch.
 *
 * @param loss Σ −log p(label), in nats
 * @param examples rows, those without a target included
 * @param targets labels that count
 * @param correct targets whose class has the largest logit
 * @param tokens tokens that are not padding
 */
public record BatchResult(double loss, long examples, long targets, long correct, long tokens) {}
