/**
 * EXPLAIN: what a run will compute, hold, send and take, told before it trains, and beside it what
 * a finished run has measured. Maths is {@link dev.kindling.cost}'s; here its questions are put to
 * executors and its answers to people.
 */
@NullMarked
package dev.kindling.job.explain;

import org.jspecify.annotations.NullMarked;
