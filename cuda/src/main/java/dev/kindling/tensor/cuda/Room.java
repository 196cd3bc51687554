package dev.kindling.tensor.cuda;

/** Mutable: memory of the device that grows to the most that was ever asked for, and stays. */
final class Room {
  private final WorkQueue queue;
  private long address;
  private long bytes;

  Room(WorkQueue queue) {
    this.queue = queue;
  }

  /** Where so many bytes are; what was there is gone. */
  long of(long needed) {
    if (needed > bytes) {
      free();
      address = queue.allocate(needed);
      bytes = needed;
    }
    return address;
  }

  void free() {
    if (bytes > 0) {
      queue.free(address);
      bytes = 0;
    }
  }
}
