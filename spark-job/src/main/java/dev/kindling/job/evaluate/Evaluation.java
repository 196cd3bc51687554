package dev.kindling.job.evaluate;

import java.util.OptionalDouble;

/**
 * What a model makes of a data set.
 *
 * @param loss mean over all targets, in nats
 * @param perplexity e^loss of a language model
 * @param accuracy share of targets that a classifier gets right
 * @param targets labels that count
 * @param examples rows
 */
public record Evaluation(
    double loss, OptionalDouble perplexity, OptionalDouble accuracy, long targets, long examples) {}
