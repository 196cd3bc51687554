/**
 * The trainables as a Deeplearning4j network, for its parameter averaging. A leaf: nothing of the
 * engine knows it, and no number is computed here.
 */
@NullMarked
package dev.kindling.dl4j;

import org.jspecify.annotations.NullMarked;
