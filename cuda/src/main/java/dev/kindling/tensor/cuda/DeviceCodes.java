package dev.kindling.tensor.cuda;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.cpu.HostCodes;
import dev.kindling.tensor.cuda.Launch.Address;
import java.nio.ByteBuffer;

/**
 * Mutable: a matrix w [out, in] as codes on the device, in the order of the file that it came from;
 * empty until {@link #place}, and again after {@link #release}. A product decodes all of it.
 */
final class DeviceCodes implements FrozenMatrix {
  private final Storage storage;
  private final boolean turned;
  private final int out;
  private final int in;
  private final DType active;
  private final WorkQueue queue;
  private final long[] addresses = new long[3];
  private boolean placed;
  private float mean;

  /**
   * @param turned whether the file has it as [in, out]
   * @param active what it is decoded to
   */
  DeviceCodes(Storage storage, boolean turned, int out, int in, DType active, WorkQueue queue) {
    this.storage = storage;
    this.turned = turned;
    this.out = out;
    this.in = in;
    this.active = active;
    this.queue = queue;
  }

  Storage storage() {
    return storage;
  }

  boolean turned() {
    return turned;
  }

  /** Elements. */
  long count() {
    return (long) out * in;
  }

  /** Takes a copy of codes that were made on the host. */
  void place(HostCodes codes) {
    release();
    ByteBuffer[] parts = {codes.codes(), codes.scales(), codes.ranges()};
    int made = 0;
    try {
      for (; made < parts.length; made++) {
        addresses[made] = queue.allocate(Math.max(1, parts[made].remaining()));
      }
    } catch (RuntimeException e) { // out of memory
      for (int i = 0; i < made; i++) {
        queue.free(addresses[i]);
      }
      throw e;
    }
    for (int i = 0; i < parts.length; i++) {
      queue.upload(parts[i], addresses[i]);
    }
    mean = codes.mean();
    placed = true;
  }

  /**
   * Writes the elements in the order of the codes.
   *
   * @param levels what codes stand for, and behind them what those of scales do
   * @param into an active matrix of as many
   */
  void decode(Kernels kernels, Address levels, Address scaleLevels, Address into) {
    if (!placed) {
      throw new IllegalStateException("a matrix without memory");
    }
    kernels.overElements(
        "decode_codes",
        (count() + 7) / 8,
        new Address(addresses[0]),
        new Address(addresses[1]),
        new Address(addresses[2]),
        levels,
        scaleLevels,
        mean,
        storage == Storage.NF4 ? 4 : 8,
        into,
        count());
  }

  @Override
  public int out() {
    return out;
  }

  @Override
  public int in() {
    return in;
  }

  @Override
  public long bytes() {
    return HostCodes.bytes(storage, count());
  }

  /** Decoded, and for what needs it the other way round, turned. */
  @Override
  public long scratchBytes() {
    return (turned ? 2 : 1) * count() * active.bytes();
  }

  @Override
  public void release() {
    if (placed) {
      for (long address : addresses) {
        queue.free(address);
      }
      placed = false;
    }
  }
}
