/**
 * One optimiser step: micro-batch gradients, their exact sum, the commit.
 *
 * <p><b>Exact sums.</b> Floating-point addition depends on its order; integer addition does not.
 * Each gradient element g of a micro-batch becomes the 64-bit integer {@code rint(g · 2^e)}, where
 * e belongs to its tensor and is part of the committed state, and the integers are added in
 * whatever order they arrive. With M the largest |g| of the tensor over all micro-batches of the
 * step, a step counts only if {@code M · 2^e · parts ≤ 2^61} (no overflow, whichever the order) and
 * {@code M · 2^e ≥ 2^24} (each addend rounds by at most 2^−25 of M, below float's own 2^−24);
 * otherwise the step is computed again with e from its M. M is a property of the data, so the
 * decision, and with it every bit of the sum, is too. After a step e is set to put M at 2^43, which
 * leaves room for both growth and decay.
 *
 * <p>Error bound: the sum of K micro-batches is off by at most K · 2^−(e+1), that is K · 2^−44 · M
 * once e has followed M.
 */
@NullMarked
package dev.kindling.train;

import org.jspecify.annotations.NullMarked;
