package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend.Arriving;
import java.nio.ByteBuffer;

/**
 * The calls to a device that the backend makes, and no others. Work is done in the order of the
 * calls, and most of them do not wait for it; {@link #upload} and {@link #download} wait for all
 * that came before. Addresses are the device's.
 */
interface Driver extends AutoCloseable {
  /**
   * New memory, whatever is in it, aligned to 16 bytes at least.
   *
   * @param bytes at least 1
   * @throws dev.kindling.InvalidInput if the device has no more
   */
  long allocate(long bytes);

  /** Gives back what {@link #allocate} returned. */
  void free(long address);

  /**
   * Host memory for {@link #upload}, {@link #download} and {@link #fetch}, the fastest there is.
   */
  ByteBuffer stage(int bytes);

  /** Gives back what {@link #stage} returned. */
  void unstage(ByteBuffer staged);

  /** Copies the remaining bytes to the device; they may be overwritten afterwards. */
  void upload(ByteBuffer from, long to);

  /** Waits for all work, then copies as many bytes as remain in {@code into}. */
  void download(long from, ByteBuffer into);

  /**
   * Begins to copy as many bytes as remain in a buffer of {@link #stage}, after all work so far and
   * before what comes.
   *
   * @param into has them once they are awaited, and must not be given back before
   */
  Arriving fetch(long from, ByteBuffer into);

  /** Sets bytes to zero. */
  void clear(long address, long bytes);

  /** Runs a kernel. */
  void launch(Launch launch);

  /** Forms a matrix product, or a batch of them. */
  void multiply(Product product);

  @Override
  void close();
}
