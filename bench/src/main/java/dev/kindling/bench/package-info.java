/**
 * One training step of Kindling against libtorch's, side by side.
 *
 * <p>A {@link dev.kindling.bench.Case} is a workload at a rank, a batch and a number of threads; a
 * {@link dev.kindling.bench.Side} computes its step. All sides of a case start from the same
 * numbers ({@link dev.kindling.bench.Weights}) and read the same batch, so their losses must agree.
 * What Kindling can do is known to {@link dev.kindling.bench.Ours} alone, what libtorch can to
 * {@link dev.kindling.bench.peer}.
 */
@NullMarked
package dev.kindling.bench;

import org.jspecify.annotations.NullMarked;
