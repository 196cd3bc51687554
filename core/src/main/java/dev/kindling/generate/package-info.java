/**
 * Continuing a text token by token: the likeliest token each time, or a draw from the likeliest
 * ones. Every draw is a function of (seed, number of the token).
 */
@NullMarked
package dev.kindling.generate;

import org.jspecify.annotations.NullMarked;
