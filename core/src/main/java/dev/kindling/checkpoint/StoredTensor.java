package dev.kindling.checkpoint;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.Supplier;

/**
 * Where one tensor lies in a safetensors file.
 *
 * @param name as the file spells it
 * @param dtype as the file spells it; only {@link StoredType}'s can be read as weights
 * @param shape sizes, outermost first
 * @param file the file
 * @param offset first byte, from the start of the file
 * @param bytes length
 */
public record StoredTensor(
    String name, String dtype, long[] shape, Path file, long offset, long bytes) {
  /** Number of elements. */
  public long elements() {
    return Tensor.elements(shape);
  }

  /**
   * Element type as weights.
   *
   * @throws InvalidInput for integers, F64, F8 and the like
   */
  public StoredType type() {
    for (StoredType type : StoredType.values()) {
      if (type.name().equals(dtype)) {
        return type;
      }
    }
    throw new InvalidInput(
        where(), "has dtype " + dtype, "supported are F32, F16 and BF16: convert it");
  }

  /** {@code count} elements from element {@code from} on, memory-mapped; at most 2 GiB. */
  public ByteBuffer map(long from, long count) {
    int width = type().bytes();
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return channel
          .map(MapMode.READ_ONLY, offset + from * width, count * width)
          .order(ByteOrder.LITTLE_ENDIAN);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot map " + where(), e);
    }
  }

  /** All values, widened to float: for adapters and heads, which are small. */
  public float[] floats() {
    ByteBuffer stored = map(0, elements());
    StoredType type = type();
    float[] values = new float[Math.toIntExact(elements())];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          type == StoredType.F32 ? stored.getFloat(4 * i) : type.widen(stored.getShort(2 * i));
    }
    return values;
  }

  /** The same tensor, to be written as it is. */
  public Safetensors.Written copy() {
    return new Safetensors.Written(
        dtype,
        shape,
        out -> {
          WritableByteChannel to = Channels.newChannel(out); // closing it would close the file
          try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            long left = bytes;
            while (left > 0) {
              left -= channel.transferTo(offset + bytes - left, left, to);
            }
          }
        });
  }

  /**
   * A tensor of this type and shape, to be written with other values.
   *
   * @param values asked for when its turn comes, rounded to the type
   */
  public Safetensors.Written with(Supplier<float[]> values) {
    return new Safetensors.Written(
        dtype, shape, out -> Safetensors.Written.of(type(), values.get(), shape).data().to(out));
  }

  /**
   * Checks the shape.
   *
   * @throws InvalidInput naming file, byte, found and expected shape
   */
  public StoredTensor require(long... expected) {
    if (!Arrays.equals(shape, expected)) {
      throw new InvalidInput(
          where(),
          "has shape " + Arrays.toString(shape),
          "expected "
              + Arrays.toString(expected)
              + ": do config.json and weights belong together?");
    }
    return this;
  }

  /** For messages: file, byte and name. */
  public String where() {
    return String.format(Locale.ROOT, "%s @ byte %,d: tensor %s", file, offset, name);
  }
}
