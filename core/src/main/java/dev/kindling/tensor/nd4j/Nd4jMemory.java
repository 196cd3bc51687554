package dev.kindling.tensor.nd4j;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Memory;
import dev.kindling.tensor.Tensor;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.ShortPointer;
import org.bytedeco.javacpp.indexer.FloatIndexer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Native memory under a tensor, and the INDArray through which ND4J sees it.
 *
 * <p>ND4J reads a pointer's address and ignores its position: slices are pointers of their own.
 */
final class Nd4jMemory implements Memory {
  private final Pointer pointer;
  private final DType type;
  private final long elements;
  private volatile @Nullable FloatBuffer floats;

  private Nd4jMemory(Pointer pointer, DType type, long elements) {
    this.pointer = pointer;
    this.type = type;
    this.elements = elements;
  }

  static Nd4jMemory allocate(DType type, long elements) {
    long some = Math.max(elements, 1);
    Pointer fresh =
        switch (type) {
          case F32 -> new FloatPointer(some);
          case F16, BF16 -> new ShortPointer(some);
          case I32 -> new IntPointer(some);
          case I64 -> new LongPointer(some);
          case F64 -> throw new IllegalArgumentException("the ND4J backend computes in F32");
        };
    Pointer.memset(fresh, 0, some * type.bytes());
    return new Nd4jMemory(fresh, type, elements);
  }

  static Nd4jMemory of(Tensor tensor) {
    return (Nd4jMemory) tensor.memory();
  }

  @Override
  public Nd4jMemory slice(long from, long count) {
    Pointer part =
        switch (type) {
          case F32 -> pointer.getPointer(FloatPointer.class, from);
          case F16, BF16 -> pointer.getPointer(ShortPointer.class, from);
          case I32 -> pointer.getPointer(IntPointer.class, from);
          case I64 -> pointer.getPointer(LongPointer.class, from);
          case F64 -> throw new IllegalStateException("no F64 here");
        };
    return new Nd4jMemory(part.capacity(Math.max(count, 1)), type, count);
  }

  void free() {
    pointer.close();
  }

  /** Most elements that plain loops reach: a buffer's bytes are counted in an int. */
  static final int MOST_FLOATS = Integer.MAX_VALUE / 4;

  /** The elements for plain loops, at most {@link #MOST_FLOATS}; index from 0. */
  static FloatBuffer floats(Tensor tensor) {
    Nd4jMemory memory = of(tensor);
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
  static FloatPointer pointer(Tensor tensor) {
    return (FloatPointer) of(tensor).pointer;
  }

  /** The words of a half-width tensor. */
  static ShortBuffer halves(Tensor tensor) {
    return ((ShortPointer) of(tensor).pointer).asBuffer();
  }

  static IntBuffer ints(Tensor tensor) {
    return ((IntPointer) of(tensor).pointer).asBuffer();
  }

  static LongBuffer longs(Tensor tensor) {
    return ((LongPointer) of(tensor).pointer).asBuffer();
  }

  /** A row-major INDArray over the first elements. */
  static INDArray array(Tensor tensor, long... shape) {
    return of(tensor).wrap(shape);
  }

  private INDArray wrap(long[] shape) {
    FloatPointer data = (FloatPointer) pointer;
    DataBuffer buffer =
        Nd4j.getDataBufferFactory()
            .create(data, DataType.FLOAT, Math.max(elements, 1), FloatIndexer.create(data));
    return Nd4j.create(buffer, shape, Nd4j.getStrides(shape, 'c'), 0, 'c');
  }
}
