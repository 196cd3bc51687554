/**
 * ND4J as a backend, on memory that JavaCPP allocates. This is the only package (beside the later
 * DL4J one) that may name an INDArray.
 *
 * <p>Products are those of ND4J's OpenBLAS, called directly; batched products and erf are ND4J's
 * own. Its layer_norm is 6 to 47 times slower than it need be and its GELU up to 2e-2 off, so
 * norms, softmax, cross entropy and the gathers are plain loops over the same memory, with double
 * accumulators.
 */
@NullMarked
package dev.kindling.tensor.nd4j;

import org.jspecify.annotations.NullMarked;
