/**
 * From a row to a micro-batch: labels, text and its tokens, the order of an epoch, the grouping of
 * a batch by length and the packing of several examples into a row.
 *
 * <p>The order of the examples is a property of the data: example i is the i-th row by (file path,
 * offset), an epoch is a permutation drawn from (seed, epoch), and position g of the endless stream
 * takes example {@code perm[g mod n]} of epoch {@code g div n}.
 */
@NullMarked
package dev.kindling.data;

import org.jspecify.annotations.NullMarked;
