package dev.kindling.tensor.cpu;

import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;

/**
 * The elements of a real or half-width tensor as floats, one at a time: for loops that are rare.
 */
public sealed interface Elements {
  /** Those of a tensor, index from 0. */
  static Elements of(Tensor tensor) {
    return switch (tensor.type()) {
      case F32 -> new Floats(CpuMemory.floats(tensor));
      case BF16 -> new Words(CpuMemory.halves(tensor), StoredType.BF16);
      case F16 -> new Words(CpuMemory.halves(tensor), StoredType.F16);
      case F64, I8, I32, I64 ->
          throw new IllegalArgumentException(tensor + " has no such elements");
    };
  }

  /** Element {@code i}, widened. */
  float get(int i);

  /** Overwrites element {@code i}, rounded to nearest, ties to even. */
  void put(int i, float value);

  /** Copies {@code count} elements of a tensor of the same type. */
  void copy(int to, Elements from, int at, int count);

  /** Copies {@code count} elements from {@code at} on out into the first ones of an array. */
  default void get(int at, float[] into, int count) {
    for (int i = 0; i < count; i++) {
      into[i] = get(at + i);
    }
  }

  /** Elements {@code at …} become {@code count} of {@code values}, from {@code from} on. */
  default void put(int at, float[] values, int from, int count) {
    for (int i = 0; i < count; i++) {
      put(at + i, values[from + i]);
    }
  }

  /** Those of an F32 tensor. */
  record Floats(FloatBuffer buffer) implements Elements {
    @Override
    public float get(int i) {
      return buffer.get(i);
    }

    @Override
    public void put(int i, float value) {
      buffer.put(i, value);
    }

    @Override
    public void get(int at, float[] into, int count) {
      buffer.get(at, into, 0, count);
    }

    @Override
    public void put(int at, float[] values, int from, int count) {
      buffer.put(at, values, from, count);
    }

    @Override
    public void copy(int to, Elements from, int at, int count) {
      buffer.put(to, ((Floats) from).buffer, at, count);
    }
  }

  /** Those of a half-width tensor. */
  record Words(ShortBuffer buffer, StoredType type) implements Elements {
    @Override
    public float get(int i) {
      return type.widen(buffer.get(i));
    }

    @Override
    public void put(int i, float value) {
      buffer.put(i, type.narrow(value));
    }

    /** BF16, of which whole rows are read, by a loop without a call for each element. */
    @Override
    public void get(int at, float[] into, int count) {
      if (type != StoredType.BF16) {
        Elements.super.get(at, into, count);
        return;
      }
      for (int i = 0; i < count; i++) {
        into[i] = Float.intBitsToFloat(buffer.get(at + i) << 16);
      }
    }

    @Override
    public void copy(int to, Elements from, int at, int count) {
      buffer.put(to, ((Words) from).buffer, at, count);
    }
  }
}
