package dev.kindling.tensor.cuda;

/** Mutable: memory of the device that grows to the most that was ever asked for, and stays. */
final class Room {
  private final Driver driver;
  private long address;
  private long bytes;

  Room(Driver driver) {
    this.driver = driver;
  }

  /** Where so many bytes are; what was there is gone. */
  long of(long needed) {
    if (needed > bytes) {
      free();
      address = driver.allocate(needed);
      bytes = needed;
    }
    return address;
  }

  void free() {
    if (bytes > 0) {
      driver.free(address);
      bytes = 0;
    }
  }
}
