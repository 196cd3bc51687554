/**
 * In which order a low-rank layer's matrix products are formed: RunLoRA (Cherniuk et al.,
 * arXiv:2312.03415) as values, each with the products it makes, from which follow its operations
 * and its bytes.
 *
 * <p>What goes with what ({@link dev.kindling.lora.plan.PlanRules} is this table):
 *
 * <pre>
 * dropout             no merged weight: dropped inputs reach the adapter's branch only
 * bf16                a merged weight only if it is asked for: w + s·b·a is rounded to eight bits
 * sampled gradients   no merged dx: of dy·w alone a part goes on (CE-LoRA)
 * x·aᵀ kept           the forward has formed it (factored), and the backward reads it
 * </pre>
 */
@NullMarked
package dev.kindling.lora.plan;

import org.jspecify.annotations.NullMarked;
