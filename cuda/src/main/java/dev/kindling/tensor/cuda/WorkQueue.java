package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Backend.Arriving;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Mutable: what a backend asks of a device, done as if each call were after the last one. Work that
 * begins as a known sequence does is held back until it is seen whether it goes on so: then one
 * graph does it. Large copies to the host go on beside the work that follows. Shared by all
 * backends on a device; one call at a time.
 */
final class WorkQueue implements AutoCloseable {
  /** Bytes of a copy that is worth a place beside the work. */
  private static final int LARGE = 1 << 20;

  private final Driver driver;
  private final Optional<Graphs> graphs;
  private final Copies copies = new Copies();
  private final NavigableMap<Long, Long> allocated = new TreeMap<>();

  /** Work since the last that was waited for, of which the first few have been given away. */
  private final List<Work> works = new ArrayList<>();

  private int given;
  private List<Graphs.Sequence> alike = new ArrayList<>();

  private WorkQueue(Driver driver, Optional<Graphs> graphs) {
    this.driver = driver;
    this.graphs = graphs;
  }

  /** Takes over a device. */
  static WorkQueue of(Driver driver) {
    return new WorkQueue(driver, Optional.of(new Graphs(driver)));
  }

  /** The same, where each work is a call. */
  static WorkQueue oneByOne(Driver driver) {
    return new WorkQueue(driver, Optional.empty());
  }

  /** New memory, whatever is in it, aligned to 16 bytes at least; for at least one byte. */
  synchronized long allocate(long bytes) {
    long address = driver.allocate(bytes);
    allocated.put(address, bytes);
    return address;
  }

  /** Gives back what {@link #allocate} returned. */
  synchronized void free(long address) {
    end();
    copies.before(address);
    driver.free(address);
    allocated.remove(address);
  }

  /** Host memory for copies, the fastest there is. */
  synchronized ByteBuffer stage(int bytes) {
    return driver.stage(bytes);
  }

  /** Gives back what {@link #stage} returned. */
  synchronized void unstage(ByteBuffer staged) {
    driver.unstage(staged);
  }

  /** Copies the remaining bytes to the device; they may be overwritten afterwards. */
  synchronized void upload(ByteBuffer from, long to) {
    end();
    copies.before(allocation(to));
    driver.upload(from, to);
  }

  /** Waits for all work, then copies as many bytes as remain in {@code into}. */
  synchronized void download(long from, ByteBuffer into) {
    end();
    driver.download(from, into);
  }

  /**
   * Begins to copy as many bytes as remain in a buffer of {@link #stage}: what is there now,
   * whatever comes.
   *
   * @param into has them once they are awaited, and must not be given back before
   */
  synchronized Arriving fetch(long from, ByteBuffer into) {
    end();
    if (into.remaining() < LARGE) {
      return driver.fetch(from, into);
    }
    long start = allocation(from);
    Arriving one =
        copies.add(start, allocated.getOrDefault(start, 0L), driver.fetchBeside(from, into));
    return () -> await(one);
  }

  private synchronized void await(Arriving one) {
    one.await();
  }

  private long allocation(long address) {
    Long start = allocated.floorKey(address);
    return start == null ? address : start;
  }

  /** Does it. */
  synchronized void run(Work work) {
    int at = works.size();
    if (at > 0) {
      alike.removeIf(known -> !known.has(at, work));
    } else if (graphs.isPresent()) {
      alike = graphs.get().beginningWith(work);
    }
    works.add(work);
    if (alike.isEmpty()) {
      give();
    }
    if (works.size() == Graphs.MOST) {
      end();
    }
  }

  /** One by one, those that have been held back. */
  private void give() {
    try {
      for (; given < works.size(); given++) {
        copies.before(works.get(given));
        driver.run(works.get(given));
      }
    } catch (RuntimeException | Error e) {
      clear();
      throw e;
    }
  }

  /** What comes next begins a sequence; until here all is given away. */
  private void end() {
    if (works.isEmpty()) {
      return;
    }
    for (Graphs.Sequence known : alike) {
      if (known.size() == works.size()) {
        works.forEach(copies::before);
        clear();
        graphs.orElseThrow().run(known);
        return;
      }
    }
    give();
    graphs.ifPresent(all -> all.came(works));
    clear();
  }

  private void clear() {
    works.clear();
    given = 0;
    alike = new ArrayList<>();
  }

  @Override
  public synchronized void close() {
    end();
    graphs.ifPresent(Graphs::close);
    driver.close();
  }
}
