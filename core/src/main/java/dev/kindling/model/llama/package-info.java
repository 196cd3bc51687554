/**
 * Llama (Touvron et al., arXiv:2302.13971), Mistral and Qwen2 as causal language models: RMS norm
 * before each half of a block, rotary positions, grouped keys and values, a gated feed-forward.
 *
 * <p>Symbols: B sequences, T tokens each, N = B·T, d hidden size, f intermediate size.
 */
@NullMarked
package dev.kindling.model.llama;

import org.jspecify.annotations.NullMarked;
