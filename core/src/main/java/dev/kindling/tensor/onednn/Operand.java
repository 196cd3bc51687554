package dev.kindling.tensor.onednn;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import org.bytedeco.dnnl.memory;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;

/**
 * Where a primitive finds one argument: an address, and the sizes and strides of what lies there.
 *
 * @param address of the first element
 * @param type of the elements
 * @param sizes outermost first
 * @param strides elements from one index to the next, of each dimension; of a packed matrix what
 *     tells its layout from others of the same sizes
 * @param packed oneDNN's own layout; null if strides say it
 */
record Operand(
    Pointer address, DType type, long[] sizes, long[] strides, memory.@Nullable desc packed) {
  /** An operand that strides describe. */
  Operand(Pointer address, DType type, long[] sizes, long[] strides) {
    this(address, type, sizes, strides, null);
  }

  /** A whole tensor as the matrix [rows, columns]. */
  static Operand matrix(Tensor t) {
    return dense(t, t.rows(), t.columns());
  }

  /** The first elements of a tensor in row-major order under another shape. */
  static Operand dense(Tensor t, long... sizes) {
    long[] strides = new long[sizes.length];
    long stride = 1;
    for (int d = sizes.length - 1; d >= 0; d--) {
      strides[d] = stride;
      stride *= sizes[d];
    }
    return new Operand(CpuMemory.address(t), t.type(), sizes, strides);
  }

  /** Columns {@code from …} of a matrix. */
  static Operand columns(Tensor t, int from, int count) {
    return new Operand(
        CpuMemory.address(t.slice(from, 1)),
        t.type(),
        new long[] {t.rows(), count},
        new long[] {t.columns(), 1});
  }

  /** The last two dimensions changed places. */
  Operand turned() {
    long[] turnedSizes = sizes.clone();
    long[] turnedStrides = strides.clone();
    int last = sizes.length - 1;
    turnedSizes[last] = sizes[last - 1];
    turnedSizes[last - 1] = sizes[last];
    turnedStrides[last] = strides[last - 1];
    turnedStrides[last - 1] = strides[last];
    return new Operand(address, type, turnedSizes, turnedStrides);
  }

  /** Turned if asked. */
  Operand turnedIf(boolean asked) {
    return asked ? turned() : this;
  }

  /** oneDNN's description of it; the caller's to close. */
  memory.desc describe() {
    return packed == null ? new memory.desc(sizes, kind(type), strides) : new memory.desc(packed);
  }

  static memory.data_type kind(DType type) {
    return switch (type) {
      case F32 -> memory.data_type.f32;
      case BF16 -> memory.data_type.bf16;
      case F16 -> memory.data_type.f16;
      case F64, I8, I32, I64 -> throw new IllegalArgumentException("nothing computes in " + type);
    };
  }
}
