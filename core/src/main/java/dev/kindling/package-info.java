/**
 * Kindling's engine: LoRA fine-tuning as pure functions of values. Knows no Spark.
 *
 * <p>Who may import whom, strictly upwards (held by an ArchUnit test):
 *
 * <pre>
 * tensor → {checkpoint, data} → lora → nn → model → {optim, train, generate, export} → published
 * </pre>
 */
@NullMarked
package dev.kindling;

import org.jspecify.annotations.NullMarked;
