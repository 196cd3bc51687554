package dev.kindling.lora.plan;

/**
 * The sizes that decide between plans.
 *
 * @param tokens rows of x, N
 * @param in columns of x and of w [out, in]
 * @param out rows of w
 * @param rank rows of a [rank, in], columns of b [out, rank]
 */
public record PairShape(long tokens, long in, long out, long rank) {}
