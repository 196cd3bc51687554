package dev.kindling.tensor.cuda;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.HostCodes;
import dev.kindling.tensor.cuda.Launch.Address;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Mutable: coded matrices, decoded one at a time into the same memory, which grows to the largest.
 * Decoding 45 million elements moves 110 MB: predicted to take an eighth of a product with 2,048
 * tokens on an H200, and not measured.
 */
final class Decoded {
  private final Driver driver;
  private final Kernels kernels;
  private final DType active;
  private final Room stored;
  private final Room straight;
  private long tables;

  Decoded(Driver driver, Kernels kernels, DType active) {
    this.driver = driver;
    this.kernels = kernels;
    this.active = active;
    this.stored = new Room();
    this.straight = new Room();
  }

  /** Where one matrix at a time lies. */
  private final class Room {
    private long address;
    private long bytes;

    Tensor of(long rows, long columns) {
      long needed = rows * columns * active.bytes();
      if (needed > bytes) {
        free();
        address = driver.allocate(needed);
        bytes = needed;
      }
      return new Tensor(active, new DeviceMemory(address, active), rows, columns);
    }

    void free() {
      if (bytes > 0) {
        driver.free(address);
        bytes = 0;
      }
    }
  }

  /** The matrix as its file has it: [out, in], or turned [in, out]. */
  Tensor asStored(DeviceCodes w) {
    Tensor into = w.turned() ? stored.of(w.in(), w.out()) : stored.of(w.out(), w.in());
    if (tables == 0) {
      tables = sent(HostCodes.levels(), HostCodes.scaleLevels());
    }
    Address scaleLevels = new Address(tables + (long) HostCodes.levels().length * Float.BYTES);
    w.decode(kernels, new Address(tables), scaleLevels, new Address(DeviceMemory.of(into)));
    return into;
  }

  /** The matrix as [out, in]. */
  Tensor straight(DeviceCodes w) {
    Tensor found = asStored(w);
    if (!w.turned()) {
      return found;
    }
    Tensor into = straight.of(w.out(), w.in());
    kernels.overElements(
        "transpose",
        w.count(),
        found,
        into,
        active.bytes(),
        (long) found.rows(),
        (long) found.columns());
    return into;
  }

  private long sent(float[]... parts) {
    int count = 0;
    for (float[] part : parts) {
      count += part.length;
    }
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(count * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (float[] part : parts) {
      for (float value : part) {
        bytes.putFloat(value);
      }
    }
    long address = driver.allocate(bytes.capacity());
    driver.upload(bytes.flip(), address);
    return address;
  }

  void close() {
    stored.free();
    straight.free();
    if (tables != 0) {
      driver.free(tables);
      tables = 0;
    }
  }
}
