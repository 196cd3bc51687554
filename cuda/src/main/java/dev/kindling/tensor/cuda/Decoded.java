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
  private final WorkQueue queue;
  private final Kernels kernels;
  private final DType active;
  private final Room stored;
  private final Room straight;
  private long levels;
  private long scaleLevels;

  Decoded(WorkQueue queue, Kernels kernels, DType active) {
    this.queue = queue;
    this.kernels = kernels;
    this.active = active;
    this.stored = new Room(queue);
    this.straight = new Room(queue);
  }

  private Tensor in(Room room, int rows, int columns) {
    long address = room.of((long) rows * columns * active.bytes());
    return new Tensor(active, new DeviceMemory(address, active), rows, columns);
  }

  /** The matrix as its file has it: [out, in], or turned [in, out]. */
  Tensor asStored(DeviceCodes w) {
    Tensor into = w.turned() ? in(stored, w.in(), w.out()) : in(stored, w.out(), w.in());
    if (levels == 0) {
      levels = sent(HostCodes.levels());
      scaleLevels = sent(HostCodes.scaleLevels());
    }
    w.decode(
        kernels, new Address(levels), new Address(scaleLevels), new Address(DeviceMemory.of(into)));
    return into;
  }

  /** The matrix as [out, in]. */
  Tensor straight(DeviceCodes w) {
    Tensor found = asStored(w);
    if (!w.turned()) {
      return found;
    }
    Tensor into = in(straight, w.out(), w.in());
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

  private long sent(float[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    long address = queue.allocate(bytes.capacity());
    queue.upload(bytes, address);
    return address;
  }

  void close() {
    stored.free();
    straight.free();
    if (levels != 0) {
      queue.free(levels);
      queue.free(scaleLevels);
      levels = 0;
    }
  }
}
