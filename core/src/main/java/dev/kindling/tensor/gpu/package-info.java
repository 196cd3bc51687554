/**
 * What may compute on the GPUs of a machine, decided before anything is loaded that would find out
 * the hard way: ND4J's CUDA backend takes any GPU for one of its own and fails on those that came
 * after it.
 *
 * <p>Nothing here touches ND4J, CUDA or their bindings; what is known comes from {@code nvidia-smi}
 * and from the names of files. {@link dev.kindling.tensor.gpu.Guard} is the decision, a function of
 * {@link dev.kindling.tensor.gpu.Machine} and nothing else.
 */
@NullMarked
package dev.kindling.tensor.gpu;

import org.jspecify.annotations.NullMarked;
