package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend.Arriving;
import java.nio.ByteBuffer;
import java.util.List;

/** No device: for a backend that is asked for types and sizes. */
final class NoDevice implements Driver {
  private static IllegalStateException none() {
    return new IllegalStateException("this backend was opened for its sizes, without a device");
  }

  @Override
  public long allocate(long bytes) {
    throw none();
  }

  @Override
  public void free(long address) {
    throw none();
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
    throw none();
  }

  @Override
  public void download(long from, ByteBuffer into) {
    throw none();
  }

  @Override
  public Arriving fetch(long from, ByteBuffer into) {
    throw none();
  }

  @Override
  public Copy fetchBeside(long from, ByteBuffer into) {
    throw none();
  }

  @Override
  public void run(Work work) {
    throw none();
  }

  @Override
  public Graph graph(List<Work> works) {
    throw none();
  }

  @Override
  public void close() {
    // There is nothing.
  }
}
