package dev.kindling.lora;

import dev.kindling.tensor.Tensor;

/**
 * One trainable tensor and its place in the flat vector.
 *
 * @param module name of the layer it belongs to
 * @param role what it is to that layer
 * @param offset first element in the flat vector
 * @param turned whether files hold its transpose
 * @param shape [r, in] for A, [out, r] for B, [out, in] or [out] for whole layers and magnitudes;
 *     of embeddings [rows, r], [features, r] and [rows, features]
 */
public record Parameter(String module, Role role, int offset, boolean turned, long... shape) {
  /** What a trainable is to its layer, and how PEFT names it. */
  public enum Role {
    /** Down-projection [r, in]. */
    A("lora_A.weight"),
    /** Up-projection [out, r]. */
    B("lora_B.weight"),
    /** Down-projection of an embedding [rows, r]: PEFT has its transpose. */
    EMBEDDING_A("lora_embedding_A"),
    /** Up-projection of an embedding [features, r]. */
    EMBEDDING_B("lora_embedding_B"),
    /** Lengths of the rows of the adapted weight [out] (DoRA, arXiv:2402.09353). */
    MAGNITUDE("lora_magnitude_vector"),
    /** Marks of the output features that gradients go on through [out] ({@link Selection}). */
    SELECTION("kindling_selection"),
    /** Whole weight [out, in]. */
    WEIGHT("weight"),
    /** Whole bias [out]. */
    BIAS("bias");

    private final String suffix;

    Role(String suffix) {
      this.suffix = suffix;
    }

    /** Whether it has no rank: is trained in full, rather than half of a pair. */
    public boolean whole() {
      return this == WEIGHT || this == BIAS || this == MAGNITUDE || this == SELECTION;
    }

    /** Whether it is part of the adapter: learned, and to be written down. */
    public boolean learned() {
      return this != SELECTION;
    }
  }

  /** A trainable that files hold as it is used. */
  public Parameter(String module, Role role, int offset, long... shape) {
    this(module, role, offset, false, shape);
  }

  /** Of half of a pair: how many ranks it has. */
  public int rank() {
    return (int) shape[role == Role.A ? 0 : 1];
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

  /** Sizes as files have them. */
  public long[] storedShape() {
    return turned ? new long[] {shape[1], shape[0]} : shape;
  }

  /** Values as files have them, from values as they are used. */
  public float[] toStored(float[] used) {
    return turned ? transposed(used, (int) shape[0], (int) shape[1]) : used;
  }

  /** Values as they are used, from values as files have them. */
  public float[] fromStored(float[] stored) {
    return turned ? transposed(stored, (int) shape[1], (int) shape[0]) : stored;
  }

  private static float[] transposed(float[] x, int rows, int columns) {
    float[] y = new float[x.length];
    for (int row = 0; row < rows; row++) {
      for (int c = 0; c < columns; c++) {
        y[c * rows + row] = x[row * columns + c];
      }
    }
    return y;
  }
}
