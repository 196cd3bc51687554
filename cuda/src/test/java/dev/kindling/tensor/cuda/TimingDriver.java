package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend.Arriving;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Waits for each call and adds up its time, by kernel and by the sizes of products: where a step
 * goes. Waiting itself takes some 17 microseconds a call, which are in the times.
 */
final class TimingDriver implements Driver {
  /** Calls of one kind. */
  static final class Spent {
    long nanos;
    int calls;
  }

  private final Driver inner;
  private final Map<String, Spent> spent = new LinkedHashMap<>();
  private final ByteBuffer one;
  private final long somewhere;

  TimingDriver(Driver inner) {
    this.inner = inner;
    this.somewhere = inner.allocate(4);
    this.one = inner.stage(4);
  }

  Map<String, Spent> spent() {
    return spent;
  }

  private void timed(String kind, Runnable call) {
    long from = System.nanoTime();
    call.run();
    one.clear();
    inner.download(somewhere, one); // waits for all work
    Spent sum = spent.computeIfAbsent(kind, k -> new Spent());
    sum.nanos += System.nanoTime() - from;
    sum.calls++;
  }

  @Override
  public long allocate(long bytes) {
    return inner.allocate(bytes);
  }

  @Override
  public void free(long address) {
    inner.free(address);
  }

  @Override
  public ByteBuffer stage(int bytes) {
    return inner.stage(bytes);
  }

  @Override
  public void unstage(ByteBuffer staged) {
    inner.unstage(staged);
  }

  @Override
  public void upload(ByteBuffer from, long to) {
    timed("upload", () -> inner.upload(from, to));
  }

  @Override
  public void download(long from, ByteBuffer into) {
    timed("download", () -> inner.download(from, into));
  }

  @Override
  public Arriving fetch(long from, ByteBuffer into) {
    timed("fetch", () -> inner.fetch(from, into).await());
    return () -> {};
  }

  @Override
  public Copy fetchBeside(long from, ByteBuffer into) {
    timed("fetch", () -> inner.fetchBeside(from, into).await());
    return new Arrived();
  }

  @Override
  public void run(Work work) {
    timed(kind(work), () -> inner.run(work));
  }

  private static String kind(Work work) {
    if (work instanceof Launch launch) {
      return launch.kernel();
    }
    return work instanceof Product product ? kind(product) : "clear";
  }

  private static String kind(Product p) {
    return "product "
        + p.a().outer()
        + "x"
        + p.a().inner()
        + "x"
        + p.b().inner()
        + (p.a().turned() ? " ta" : "")
        + (p.b().turned() ? " tb" : "")
        + (p.batch() > 1 ? " of " + p.batch() : "")
        + " "
        + p.a().type()
        + ">"
        + p.c().type();
  }

  /** Whose works could not be told apart. */
  @Override
  public Graph graph(List<Work> works) {
    throw new IllegalStateException("each call is timed by itself");
  }

  @Override
  public void close() {
    inner.free(somewhere);
    inner.unstage(one.clear());
    inner.close();
  }
}
