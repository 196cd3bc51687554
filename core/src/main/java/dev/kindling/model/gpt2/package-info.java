/**
 * GPT-2 (Radford et al., 2019) as a causal language model: learned positions, layer norm before
 * each half of a block, one projection for query, key and value, weights stored as [in, out], a
 * tied head.
 *
 * <p>Symbols: B sequences, T tokens each, N = B·T, d hidden size, f intermediate size.
 */
@NullMarked
package dev.kindling.model.gpt2;

import org.jspecify.annotations.NullMarked;
