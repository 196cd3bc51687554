package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend.Arriving;
import dev.kindling.tensor.cuda.Product.Operand;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
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

  @Override
  public long allocate(long bytes) {
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
    requireLive("a copy", from, into.remaining());
    if (!staged.contains(into)) {
      throw new IllegalStateException("fetches into what the driver has not staged");
    }
    requireIdle(into);
    fetching.add(into);
    ByteBuffer hidden = ByteBuffer.allocateDirect(into.remaining());
    Arriving inside = inner.fetch(from, hidden);
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
  public void clear(long address, long bytes) {
    requireLive("clear", address, bytes);
    inner.clear(address, bytes);
  }

  @Override
  public void launch(Launch launch) {
    for (Launch.Argument argument : launch.arguments()) {
      if (argument instanceof Launch.Address address) {
        requireLive(launch.kernel(), address.value(), 1);
      }
    }
    launches.add(launch);
    inner.launch(launch);
  }

  @Override
  public void multiply(Product product) {
    for (Operand operand : List.of(product.a(), product.b(), product.c())) {
      requireLive("a product", operand.address(), operand.extent(product.batch()));
    }
    long from = product.c().address();
    long to = from + product.c().extent(product.batch());
    for (Operand read : List.of(product.a(), product.b())) {
      if (read.address() < to && from < read.address() + read.extent(product.batch())) {
        throw new IllegalStateException("a product overwrites what it reads: " + product);
      }
    }
    products++;
    inner.multiply(product);
  }

  @Override
  public void close() {
    inner.close();
  }
}
