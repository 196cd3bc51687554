/**
 * Single operations: with JMH, and a few ideas timed against each other in turn.
 *
 * <p>Shapes are those of the bench's Llamas ({@link dev.kindling.bench.Workload}), or of a Llama 7B
 * where it says so; numbers are random. {@link dev.kindling.bench.single.Main} is the command.
 */
@NullMarked
package dev.kindling.bench.single;

import org.jspecify.annotations.NullMarked;
