package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend.Arriving;
import java.nio.ByteBuffer;
import java.util.List;

/**
 * The calls to a device, and no others: {@link WorkQueue} alone makes them, one at a time. Work is
 * done in the order of the calls, which return before it is done, but for {@link #download}, {@link
 * #free}, large {@link #upload}s and graphs that are given back. Addresses are the device's.
 */
interface Driver extends AutoCloseable {
  /**
   * New memory, whatever is in it, aligned to 16 bytes at least.
   *
   * @param bytes at least 1
   * @throws dev.kindling.InvalidInput if the device has no more
   */
  long allocate(long bytes);

  /** Gives back what {@link #allocate} returned, after all work. */
  void free(long address);

  /** Host memory for copies, the fastest there is. */
  ByteBuffer stage(int bytes);

  /** Gives back what {@link #stage} returned. */
  void unstage(ByteBuffer staged);

  /**
   * Copies the remaining bytes to the device, in the order of the calls; they may be overwritten
   * afterwards.
   */
  void upload(ByteBuffer from, long to);

  /** Waits for all work, then copies as many bytes as remain in {@code into}. */
  void download(long from, ByteBuffer into);

  /**
   * Begins to copy as many bytes as remain in a buffer of {@link #stage}, in the order of the
   * calls.
   *
   * @param into has them once they are awaited, and must not be given back before
   */
  Arriving fetch(long from, ByteBuffer into);

  /** A copy that goes on beside the work that follows. */
  interface Copy extends Arriving {
    /** Work from now on begins when this has been read. */
    void beforeMore();

    /** Once, when it has arrived; not to be used afterwards. */
    void close();
  }

  /** As {@link #fetch}, after all work so far and beside what follows. */
  Copy fetchBeside(long from, ByteBuffer into);

  /** Does it. */
  void run(Work work);

  /** Works that are done by one call. */
  interface Graph extends AutoCloseable {
    /** Does them all, in their order. */
    void run();

    @Override
    void close();
  }

  /**
   * Takes down works for later; does none.
   *
   * @param works each of which has been run before
   * @throws IllegalStateException if the device refuses
   */
  Graph graph(List<Work> works);

  @Override
  void close();
}
