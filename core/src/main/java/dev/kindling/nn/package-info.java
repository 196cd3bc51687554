/**
 * Layers: forward and backward side by side. A layer holds views of weights; what a backward reads
 * is listed by the layer's {@code Saved} record, taken from the step's arena.
 */
@NullMarked
package dev.kindling.nn;

import org.jspecify.annotations.NullMarked;
