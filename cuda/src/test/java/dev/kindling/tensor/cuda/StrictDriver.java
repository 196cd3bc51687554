package dev.kindling.tensor.cuda;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend.Arriving;
import dev.kindling.tensor.cuda.Product.Operand;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;

/**
 * Writes calls down and holds them to account before another driver makes them: whatever is touched
 * must be alive and large enough, what is freed must have been allocated, and no product may
 * overwrite what it reads.
 */
final class StrictDriver implements Driver {
  private final Driver inner;
  private final NavigableMap<Long, Long> live = new TreeMap<>();
  private final List<Launch> launches = new ArrayList<>();
  private int allocations;
  private int products;
  private int calls;
  private int replayed;
  private int waits;
  private long most = Long.MAX_VALUE;
  private boolean refuses;
  private int refused;
  private final Set<Work> known = new HashSet<>();
  private final Set<Graph> graphs = Collections.newSetFromMap(new IdentityHashMap<>());
  private final Set<ByteBuffer> staged = Collections.newSetFromMap(new IdentityHashMap<>());
  private final Set<ByteBuffer> fetching = Collections.newSetFromMap(new IdentityHashMap<>());

  StrictDriver(Driver inner) {
    this.inner = inner;
  }

  /** Bytes of what is allocated. */
  long liveBytes() {
    return live.values().stream().mapToLong(Long::longValue).sum();
  }

  /** Buffers of the host's that have not come back. */
  int staged() {
    return staged.size();
  }

  /** Bytes of those. */
  long stagedBytes() {
    return staged.stream().mapToLong(ByteBuffer::capacity).sum();
  }

  /** How often something was allocated. */
  int allocations() {
    return allocations;
  }

  /** Products so far. */
  int products() {
    return products;
  }

  /** Kernels so far. */
  List<Launch> launches() {
    return launches;
  }

  /** Calls so far that made the device work. */
  int calls() {
    return calls;
  }

  /** Works so far that graphs have done. */
  int replayed() {
    return replayed;
  }

  /** How often work had to wait for a copy beside it. */
  int waits() {
    return waits;
  }

  /** Graphs that have not been closed. */
  int graphs() {
    return graphs.size();
  }

  private void requireLive(String what, long address, long bytes) {
    Map.Entry<Long, Long> block = live.floorEntry(address);
    if (block == null || address + bytes > block.getKey() + block.getValue()) {
      throw new IllegalStateException(
          what + " touches " + bytes + " bytes that are not in one allocation");
    }
  }

  private void requireIdle(ByteBuffer buffer) {
    if (fetching.contains(buffer)) {
      throw new IllegalStateException("uses a buffer that something is on its way into");
    }
  }

  /** The device has so many bytes in all; none of them for graphs. */
  void limit(long bytes) {
    most = bytes;
  }

  @Override
  public long allocate(long bytes) {
    if (most < Long.MAX_VALUE && liveBytes() + bytes > (graphs.isEmpty() ? most : 0)) {
      throw new InvalidInput("the device", "it is full", "less");
    }
    if (bytes < 1) {
      throw new IllegalStateException("allocates " + bytes + " bytes");
    }
    long address = inner.allocate(bytes);
    live.put(address, bytes);
    allocations++;
    return address;
  }

  @Override
  public void free(long address) {
    if (live.remove(address) == null) {
      throw new IllegalStateException("frees what is not allocated, or is free already");
    }
    inner.free(address);
  }

  @Override
  public ByteBuffer stage(int bytes) {
    ByteBuffer buffer = inner.stage(bytes);
    staged.add(buffer);
    return buffer;
  }

  @Override
  public void unstage(ByteBuffer buffer) {
    requireIdle(buffer);
    if (!staged.remove(buffer)) {
      throw new IllegalStateException("gives back a buffer that is not on loan");
    }
    inner.unstage(buffer);
  }

  @Override
  public void upload(ByteBuffer from, long to) {
    if (!from.isDirect()) {
      throw new IllegalStateException("uploads from the heap, which a device cannot read");
    }
    requireIdle(from);
    requireLive("upload", to, from.remaining());
    inner.upload(from, to);
  }

  @Override
  public void download(long from, ByteBuffer into) {
    requireIdle(into);
    requireLive("download", from, into.remaining());
    inner.download(from, into);
  }

  /** What has arrived can be seen only once it is awaited, and until then its buffer is lent. */
  @Override
  public Arriving fetch(long from, ByteBuffer into) {
    ByteBuffer hidden = lend(from, into);
    return arriving(inner.fetch(from, hidden), hidden, into);
  }

  @Override
  public Copy fetchBeside(long from, ByteBuffer into) {
    ByteBuffer hidden = lend(from, into);
    Copy inside = inner.fetchBeside(from, hidden);
    Arriving arriving = arriving(inside, hidden, into);
    return new Copy() {
      @Override
      public void beforeMore() {
        if (!fetching.contains(into)) {
          throw new IllegalStateException("waits for what has arrived");
        }
        waits++;
        inside.beforeMore();
      }

      @Override
      public void await() {
        arriving.await();
      }

      @Override
      public void close() {
        if (fetching.contains(into)) {
          throw new IllegalStateException("forgets what has not arrived");
        }
        inside.close();
      }
    };
  }

  private ByteBuffer lend(long from, ByteBuffer into) {
    requireLive("a copy", from, into.remaining());
    if (!staged.contains(into)) {
      throw new IllegalStateException("fetches into what the driver has not staged");
    }
    requireIdle(into);
    fetching.add(into);
    return ByteBuffer.allocateDirect(into.remaining());
  }

  private Arriving arriving(Arriving inside, ByteBuffer hidden, ByteBuffer into) {
    ByteBuffer to = into.duplicate();
    return () -> {
      if (!fetching.remove(into)) {
        throw new IllegalStateException("awaits what has arrived");
      }
      inside.await();
      to.put(hidden.clear());
    };
  }

  @Override
  public void run(Work work) {
    calls++;
    note(work);
    inner.run(work);
    known.add(work);
  }

  private void note(Work work) {
    if (work instanceof Clear clear) {
      requireLive("clear", clear.address(), clear.bytes());
    } else if (work instanceof Launch launch) {
      note(launch);
    } else if (work instanceof Product product) {
      note(product);
    }
  }

  private void note(Launch launch) {
    for (Launch.Argument argument : launch.arguments()) {
      if (argument instanceof Launch.Address address) {
        requireLive(launch.kernel(), address.value(), 1);
      }
    }
    launches.add(launch);
  }

  private void note(Product product) {
    for (Operand operand : List.of(product.a(), product.b(), product.c())) {
      requireLive("a product", operand.address(), operand.extent(product.batch()));
    }
    if (product.bias() != 0) {
      int bytes = product.c().columns() * product.c().type().bytes();
      requireLive("a bias", product.bias(), bytes);
      if (product.bias() % 16 != 0) {
        throw new IllegalStateException("a bias begins at " + product.bias());
      }
    }
    long from = product.c().address();
    long to = from + product.c().extent(product.batch());
    for (Operand read : List.of(product.a(), product.b())) {
      if (read.address() < to && from < read.address() + read.extent(product.batch())) {
        throw new IllegalStateException("a product overwrites what it reads: " + product);
      }
    }
    products++;
  }

  /** No graph is taken from now on. */
  void refuseGraphs() {
    refuses = true;
  }

  /** Graphs that were refused. */
  int refused() {
    return refused;
  }

  @Override
  public Graph graph(List<Work> works) {
    if (refuses) {
      refused++;
      throw new IllegalStateException("cuStreamEndCapture failed: CUresult 900");
    }
    if (!known.containsAll(works)) {
      throw new AssertionError("takes down what has never been run");
    }
    Graph graph = inner.graph(works);
    graphs.add(graph);
    return new Graph() {
      @Override
      public void run() {
        if (!graphs.contains(graph)) {
          throw new IllegalStateException("runs a graph that is closed");
        }
        if (refuses) {
          throw new IllegalStateException("cuGraphLaunch failed: CUresult 2");
        }
        calls++;
        replayed += works.size();
        works.forEach(StrictDriver.this::note);
        graph.run();
      }

      @Override
      public void close() {
        if (!graphs.remove(graph)) {
          throw new IllegalStateException("closes a graph twice");
        }
        graph.close();
      }
    };
  }

  @Override
  public void close() {
    inner.close();
  }
}
