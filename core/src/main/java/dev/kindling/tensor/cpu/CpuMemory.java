package dev.kindling.tensor.cpu;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Memory;
import dev.kindling.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.ShortPointer;
import org.jspecify.annotations.Nullable;

/**
 * Native memory under a tensor of a CPU backend.
 *
 * <p>Slices are pointers of their own: native code reads a pointer's address and ignores its
 * position.
 */
public final class CpuMemory implements Memory {
  static {
    // JavaCPP counts its off-heap memory against -Xmx unless told otherwise, and would refuse
    // weights on an executor whose heap is rightly small. Read once, when Pointer is loaded.
    for (String limit : new String[] {"maxBytes", "maxPhysicalBytes"}) {
      String key = "org.bytedeco.javacpp." + limit;
      if (System.getProperty(key) == null) {
        System.setProperty(key, "0");
      }
    }
  }

  /** Most elements that plain loops reach: a buffer's bytes are counted in an int. */
  public static final int MOST_FLOATS = Integer.MAX_VALUE / 4;

  private final Pointer pointer;
  private final DType type;
  private final long elements;
  private volatile @Nullable FloatBuffer floats;

  private CpuMemory(Pointer pointer, DType type, long elements) {
    this.pointer = pointer;
    this.type = type;
    this.elements = elements;
  }

  /** A new zeroed tensor. */
  public static Tensor allocate(DType type, long... shape) {
    long elements = Tensor.elements(shape);
    long some = Math.max(elements, 1);
    Pointer fresh =
        switch (type) {
          case F32 -> new FloatPointer(some);
          case F16, BF16 -> new ShortPointer(some);
          case I8 -> new BytePointer(some);
          case I32 -> new IntPointer(some);
          case I64 -> new LongPointer(some);
          case F64 -> throw new IllegalArgumentException("CPU backends compute in F32");
        };
    Pointer.memset(fresh, 0, some * type.bytes());
    return new Tensor(type, new CpuMemory(fresh, type, elements), shape);
  }

  /** Gives back what {@link #allocate} took. */
  public static void free(Tensor allocated) {
    of(allocated).pointer.close();
  }

  /** to = from, of one type and size. */
  public static void copy(Tensor from, Tensor to) {
    if (from.type() != to.type() || from.elements() != to.elements()) {
      throw new IllegalArgumentException("cannot copy %s into %s".formatted(from, to));
    }
    Pointer.memcpy(address(to), address(from), from.elements() * from.type().bytes());
  }

  /** All elements become zero. */
  public static void zero(Tensor tensor) {
    Pointer.memset(address(tensor), 0, tensor.elements() * tensor.type().bytes());
  }

  /**
   * Lifts JavaCPP's limits, if it is not too late; whoever loads a class of JavaCPP calls it first.
   */
  public static void lifted() {
    // The static block above has done it.
  }

  /** Native bytes that this process holds now, of all backends and models. */
  public static long heldBytes() {
    return Pointer.totalBytes();
  }

  private static CpuMemory of(Tensor tensor) {
    return (CpuMemory) tensor.memory();
  }

  @Override
  public CpuMemory slice(long from, long count) {
    Pointer part = pointer.getPointer(from); // of the same class, whose elements it counts
    return new CpuMemory(part.capacity(Math.max(count, 1)), type, count);
  }

  /** The same bytes of an F32 tensor as BF16 elements, twice as many. */
  public static Tensor halved(Tensor scratch) {
    CpuMemory memory = of(scratch);
    long twice = 2 * memory.elements;
    ShortPointer words = new ShortPointer(memory.pointer);
    return new Tensor(
        DType.BF16, new CpuMemory(words.capacity(Math.max(twice, 1)), DType.BF16, twice), twice);
  }

  /** The elements for plain loops, at most {@link #MOST_FLOATS}; index from 0. */
  public static FloatBuffer floats(Tensor tensor) {
    CpuMemory memory = of(tensor);
    FloatBuffer known = memory.floats;
    if (known == null) {
      if (memory.elements > MOST_FLOATS) {
        throw new IllegalArgumentException(tensor + " is too large for one buffer");
      }
      known = ((FloatPointer) memory.pointer).asBuffer();
      memory.floats = known;
    }
    return known;
  }

  /** The address of the first element, for native code. */
  public static Pointer address(Tensor tensor) {
    return of(tensor).pointer;
  }

  /** The same of an F32 tensor. */
  public static FloatPointer pointer(Tensor tensor) {
    return (FloatPointer) of(tensor).pointer;
  }

  /** The words of a half-width tensor. */
  public static ShortBuffer halves(Tensor tensor) {
    return ((ShortPointer) of(tensor).pointer).asBuffer();
  }

  /** The elements of an I8 tensor, at most 2³¹ − 1. */
  static ByteBuffer bytes(Tensor tensor) {
    Math.toIntExact(tensor.elements());
    return ((BytePointer) of(tensor).pointer).asBuffer();
  }

  /** The elements of an I32 tensor. */
  public static IntBuffer ints(Tensor tensor) {
    return ((IntPointer) of(tensor).pointer).asBuffer();
  }

  /** The elements of an I64 tensor. */
  public static LongBuffer longs(Tensor tensor) {
    return ((LongPointer) of(tensor).pointer).asBuffer();
  }
}
