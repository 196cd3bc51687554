/**
 * The step as a good PyTorch user would write it: PEFT's LoRA formulation under autograd, fused
 * attention ({@code scaled_dot_product_attention}), {@code layer_norm}, {@code rms_norm}, {@code
 * cross_entropy} and AdamW of libtorch's C++ interface, which are the kernels that Python calls.
 *
 * <p>Modules read Hugging Face's weights by name and in the layout of its files, and compute what
 * the modules of its {@code transformers} of the same names do.
 *
 * <p>In bf16 the base, its activations and the logits are bf16, and the trainables fp32, cast when
 * they are used: what {@code torch.autocast} makes of a base loaded in bf16. {@code cross_entropy}
 * reads the logits in fp32, as {@code transformers} does.
 */
@NullMarked
package dev.kindling.bench.peer;

import org.jspecify.annotations.NullMarked;
