package dev.kindling.tensor.cuda;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Memory;
import dev.kindling.tensor.Tensor;

/**
 * Where a tensor's elements lie on the device.
 *
 * @param address of the first one
 */
record DeviceMemory(long address, DType type) implements Memory {
  @Override
  public DeviceMemory slice(long from, long elements) {
    return new DeviceMemory(address + from * type.bytes(), type);
  }

  /** The address of a tensor's first element. */
  static long of(Tensor tensor) {
    return ((DeviceMemory) tensor.memory()).address;
  }

  /** Bytes that a tensor occupies. */
  static long bytes(Tensor tensor) {
    return tensor.elements() * tensor.type().bytes();
  }

  /** The number of a type in the kernels. */
  static int code(DType type) {
    return switch (type) {
      case F32 -> 0;
      case BF16 -> 1;
      case F16 -> 2;
      case F64, I8, I32, I64 -> throw new IllegalArgumentException("no kernel computes in " + type);
    };
  }
}
