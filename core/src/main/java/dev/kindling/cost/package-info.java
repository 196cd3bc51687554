/**
 * What a step costs before it runs: its operations and bytes, counted by running the model on a
 * backend that computes nothing ({@link dev.kindling.cost.DryBackend}), and their time, from the
 * speed of a few operations that are really run ({@link dev.kindling.cost.Rates}) or of every order
 * of a pair's products ({@link dev.kindling.cost.PairClock}).
 *
 * <p>An operation of F operations and B bytes takes max(F / rate, B / bandwidth) seconds: the
 * roofline model (Williams, Waterman, Patterson, CACM 52(4), 2009).
 */
@NullMarked
package dev.kindling.cost;

import org.jspecify.annotations.NullMarked;
