/**
 * The engine for GPUs of compute capability 7.5 and later: our own kernels and cublasLt of CUDA 13,
 * in a jar of its own beside the job's. docs/gpu.md says what was executed where, and how fast.
 *
 * <p>{@link dev.kindling.tensor.cuda.CudaBackend} knows shapes and addresses, and CUDA only by
 * {@link dev.kindling.tensor.cuda.Driver}: ten calls. One implementation makes them to a real
 * device; in the tests another one is a process that runs the very same kernels on the CPU, and the
 * backend owes all that every backend owes.
 *
 * <p>All work of a device goes through one stream, in the order of the calls. Kernels are the
 * {@code .cu} resources of this package, compiled by NVRTC for the device at hand.
 */
@NullMarked
package dev.kindling.tensor.cuda;

import org.jspecify.annotations.NullMarked;
