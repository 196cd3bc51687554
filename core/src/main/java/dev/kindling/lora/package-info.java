/**
 * What is trained: low-rank pairs beside frozen linear layers, and whole layers beside the frozen
 * base.
 *
 * <p>An adapted layer computes {@code y = x·wᵀ + bias + s·(drop(x)·aᵀ)·bᵀ} with w [out, in], a [r,
 * in], b [out, r] and s = alpha / r (Hu et al., arXiv:2106.09685; layouts as PEFT stores them). All
 * trainables of a run are views of one flat vector, laid out by {@link
 * dev.kindling.lora.AdapterLayout}.
 *
 * <p>Of the axes on which methods differ these lie here: how pairs begin ({@link
 * dev.kindling.lora.Initialiser}), their ranks in a step and by layer ({@link
 * dev.kindling.lora.Ranks}, {@link dev.kindling.lora.LayerPatterns}), and how gradients go on
 * through frozen weights ({@link dev.kindling.lora.Sampling}).
 */
@NullMarked
package dev.kindling.lora;

import org.jspecify.annotations.NullMarked;
