package dev.kindling.checkpoint;

/**
 * One frozen tensor that a model needs: a row of its family's weight table.
 *
 * @param name Hugging Face's name, family prefix included
 * @param matrix whether it is the w [out, in] of a linear layer, to be frozen for products
 * @param shape sizes, outermost first
 */
public record WeightSlot(String name, boolean matrix, long... shape) {}
