/**
 * ND4J on CUDA 11.6, for GPUs up to Ampere and Ada: an engine in a jar of its own. Never run on a
 * GPU; what it computes is tested through ND4J's CPU backend ({@code ArrayBackendTest}).
 */
@NullMarked
package dev.kindling.tensor.nd4jcuda;

import org.jspecify.annotations.NullMarked;
