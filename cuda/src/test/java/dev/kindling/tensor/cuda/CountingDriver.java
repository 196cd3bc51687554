package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend.Arriving;
import java.nio.ByteBuffer;
import java.util.List;

/** Counts works, and does none: memory of any size costs nothing. */
final class CountingDriver implements Driver {
  private long next = 1 << 20;
  private int works;

  /** Works so far. */
  int works() {
    return works;
  }

  @Override
  public long allocate(long bytes) {
    long address = next;
    next += (bytes + 255) / 256 * 256;
    return address;
  }

  @Override
  public void free(long address) {
    // There is enough.
  }

  @Override
  public ByteBuffer stage(int bytes) {
    return ByteBuffer.allocateDirect(bytes);
  }

  @Override
  public void unstage(ByteBuffer staged) {
    // The collector's.
  }

  @Override
  public void upload(ByteBuffer from, long to) {
    // To nowhere.
  }

  @Override
  public void download(long from, ByteBuffer into) {
    into.position(into.limit());
  }

  @Override
  public Arriving fetch(long from, ByteBuffer into) {
    return () -> {};
  }

  @Override
  public Copy fetchBeside(long from, ByteBuffer into) {
    return new Arrived();
  }

  @Override
  public void run(Work work) {
    works++;
  }

  @Override
  public Graph graph(List<Work> taken) {
    throw new IllegalStateException("works are counted one by one");
  }

  @Override
  public void close() {
    // There is nothing.
  }
}
