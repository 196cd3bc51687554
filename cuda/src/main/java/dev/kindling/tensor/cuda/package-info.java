/**
 * The engine for GPUs of compute capability 7.5 and later: our own kernels and cublasLt of CUDA 13,
 * in a jar of its own beside the job's. docs/gpu.md says what was executed where, and how fast.
 *
 * <p>{@link dev.kindling.tensor.cuda.CudaBackend} knows shapes and addresses, and asks {@link
 * dev.kindling.tensor.cuda.WorkQueue} for copies and for {@link dev.kindling.tensor.cuda.Work}:
 * runs of kernels, products, zeros. The queue has them done as if each were after the last, and
 * decides what one graph does and what is copied beside the work. It knows CUDA only by {@link
 * dev.kindling.tensor.cuda.Driver}, a dozen calls. One implementation makes them to a real device;
 * in the tests another one is a process that runs the very same kernels on the CPU, and the backend
 * owes all that every backend owes.
 *
 * <p>Kernels are the {@code .cu} resources of this package, compiled by NVRTC for the device at
 * hand.
 */
@NullMarked
package dev.kindling.tensor.cuda;

import org.jspecify.annotations.NullMarked;
