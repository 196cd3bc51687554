/**
 * oneDNN as a backend (CPU), through JavaCPP, on the memory that all CPU backends share.
 *
 * <p>A primitive is code generated for one kind of operation and its sizes, made when first needed
 * and kept by its thread; each run points its arguments at other addresses. What oneDNN has no
 * primitive for (rotary positions, gathers, dropout) are the plain loops of {@code tensor.cpu}.
 */
@NullMarked
package dev.kindling.tensor.onednn;

import org.jspecify.annotations.NullMarked;
