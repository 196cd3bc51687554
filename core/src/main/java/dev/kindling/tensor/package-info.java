/**
 * The one door to the hardware: tensors, and the coarse operations that a {@link
 * dev.kindling.tensor.Backend} performs on them.
 *
 * <p>A tensor is shape, element type and contiguous row-major memory that its backend owns. Calls
 * enqueue work and return no Java number; who wants numbers waits for them, by {@link
 * dev.kindling.tensor.Backend#read} or for what {@link dev.kindling.tensor.Backend#fetch} began.
 * Callers supply outputs and scratch, taken from an {@link dev.kindling.tensor.Arena} that is
 * reused from step to step.
 *
 * <p>Symbols: N tokens of a micro-batch (padding included), d hidden size, V vocabulary, r rank, w
 * [out, in], a [r, in], b [out, r]; a prefix {@code d} marks a gradient of the loss.
 */
@NullMarked
package dev.kindling.tensor;

import org.jspecify.annotations.NullMarked;
