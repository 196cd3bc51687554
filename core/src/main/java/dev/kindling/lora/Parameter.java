package dev.kindling.lora;

import dev.kindling.tensor.Tensor;

/**
 * One trainable tensor and its place in the flat vector.
 *
 * @param module name of the layer it belongs to
 * @param role what it is to that layer
 * @param offset first element in the flat vector
 * @param shape [r, in] for A, [out, r] for B, [out, in] or [out] for whole layers
 */
public record Parameter(String module, Role role, int offset, long... shape) {
  /** What a trainable is to its layer, and how PEFT names it. */
  public enum Role {
    /** Down-projection [r, in]. */
    A("lora_A.weight"),
    /** Up-projection [out, r]. */
    B("lora_B.weight"),
    /** Whole weight [out, in]. */
    WEIGHT("weight"),
    /** Whole bias [out]. */
    BIAS("bias");

    private final String suffix;

    Role(String suffix) {
      this.suffix = suffix;
    }
  }

  public int elements() {
    return Math.toIntExact(Tensor.elements(shape));
  }

  /** Name within the base model, for example {@code classifier.bias}. */
  public String name() {
    return module + "." + role.suffix;
  }

  /** Key in {@code adapter_model.safetensors}. */
  public String peftName() {
    return "base_model.model." + name();
  }
}
