package dev.kindling.tensor.cuda;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend.Arriving;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Mutable: what a backend asks of a device, done as if each call were after the last one. Work that
 * begins as a known sequence does is held back until it is seen whether it goes on so: then one
 * graph does it. Large copies to the host go on beside the work that follows. Shared by all
 * backends on a device; one call at a time.
 *
 * <p>A device that cannot go on is an {@link IllegalStateException} of whatever is asked next.
 */
final class WorkQueue implements AutoCloseable {
  /** Bytes of a copy that is worth a place beside the work. */
  private static final int LARGE = 1 << 20;

  private final Driver driver;
  private final Optional<Graphs> graphs;
  private final Copies copies = new Copies();
  private final NavigableMap<Long, Long> allocated = new TreeMap<>();

  /** Work since the last copy, or the last so many. */
  private final List<Work> works = new ArrayList<>();

  /** Known sequences that begin so. While there are any, the device has been given none of it. */
  private List<Graphs.Sequence> alike = List.of();

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

  /**
   * New memory, whatever is in it, aligned to 16 bytes at least. If there is no more, graphs give
   * back theirs.
   *
   * @param bytes at least 1
   * @throws InvalidInput if the device has not as much
   */
  synchronized long allocate(long bytes) {
    long address;
    try {
      address = driver.allocate(bytes);
    } catch (InvalidInput full) {
      end();
      if (!graphs.map(Graphs::forgetAll).orElse(false)) {
        throw full;
      }
      address = driver.allocate(bytes);
    }
    allocated.put(address, bytes);
    return address;
  }

  /** Gives back what {@link #allocate} returned, after all work. */
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
    copies.before(to);
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
   * @param from in what {@link #allocate} returned
   * @param into has them once they are awaited, and must not be given back before
   */
  synchronized Arriving fetch(long from, ByteBuffer into) {
    end();
    if (into.remaining() < LARGE) {
      return driver.fetch(from, into);
    }
    Map.Entry<Long, Long> memory = allocated.floorEntry(from);
    if (memory == null) {
      throw new IllegalStateException("fetches what is not allocated");
    }
    Driver.Copy copy = driver.fetchBeside(from, into);
    copies.begun(memory.getKey(), memory.getValue(), copy);
    return () -> {
      copy.await(); // others may ask for work meanwhile
      arrived(copy);
    };
  }

  private synchronized void arrived(Driver.Copy copy) {
    copies.arrived(copy);
  }

  /** Does it, now or with what follows: by the next call that is no work at the latest. */
  synchronized void run(Work work) {
    int at = works.size();
    boolean held = at > 0 && !alike.isEmpty();
    if (at == 0) {
      alike = graphs.map(all -> all.beginningWith(work)).orElse(List.of());
    } else if (held && !alike.stream().allMatch(known -> known.has(at, work))) {
      alike = alike.stream().filter(known -> known.has(at, work)).toList();
    }
    works.add(work);
    if (alike.isEmpty() && held) {
      give(List.copyOf(works));
    } else if (alike.isEmpty()) {
      give(List.of(work));
    }
    if (works.size() == Graphs.MOST) {
      end();
    }
  }

  /** One by one. What cannot be done is not asked for again. */
  private void give(List<Work> some) {
    try {
      for (Work work : some) {
        copies.before(work);
        driver.run(work);
      }
    } catch (RuntimeException | Error e) {
      clear();
      throw e;
    }
  }

  /** What comes next begins a sequence; the device is given all until here. */
  private void end() {
    if (works.isEmpty()) {
      return;
    }
    List<Work> all = List.copyOf(works);
    List<Graphs.Sequence> known = alike;
    clear();
    for (Graphs.Sequence one : known) {
      if (one.works().size() == all.size()) {
        all.forEach(copies::before);
        if (graphs.orElseThrow().run(one)) {
          return;
        }
      }
    }
    if (!known.isEmpty()) { // it was held back
      give(all);
    }
    graphs.ifPresent(some -> some.came(all));
  }

  private void clear() {
    works.clear();
    alike = List.of();
  }

  /** Works so far that graphs have done. */
  synchronized long replayed() {
    return graphs.map(Graphs::replayed).orElse(0L);
  }

  /** Gives back the device, when all work is done. */
  @Override
  public synchronized void close() {
    end();
    graphs.ifPresent(Graphs::forgetAll);
    driver.close();
  }
}
