/**
 * Adapters as PEFT reads and writes them: {@code adapter_config.json} and {@code
 * adapter_model.safetensors} with keys {@code base_model.model.<module>.lora_A.weight} [r, in],
 * {@code …lora_B.weight} [out, r] and {@code base_model.model.<module>.weight} for modules trained
 * in full. Beside them {@code kindling.json} holds what PEFT has no place for ({@link
 * dev.kindling.export.Notes}).
 */
@NullMarked
package dev.kindling.export;

import org.jspecify.annotations.NullMarked;
