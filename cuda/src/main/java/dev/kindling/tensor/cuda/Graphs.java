package dev.kindling.tensor.cuda;

import dev.kindling.tensor.cuda.Driver.Graph;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Mutable: sequences of work that a device was given, and graphs of those that came twice. A launch
 * takes the host 4 to 5 µs, a work of a graph about one (both estimates): steps whose kernels are
 * shorter than that gain. What comes again is recognised by its values, addresses included, so that
 * a graph does what its works would.
 */
final class Graphs {
  private static final Logger LOG = LoggerFactory.getLogger(Graphs.class);

  /** Works of a graph: a device that has nothing to do waits until so many are known. */
  static final int MOST = 256;

  /** Works that are worth a graph. */
  private static final int LEAST = 8;

  /** Sequences: 25 shapes of a 7B model's steps, some 26 MB of the heap. */
  private static final int KNOWN = 256;

  private final Driver driver;
  private final List<Sequence> known = new ArrayList<>();
  private boolean refused;
  private long clock;

  Graphs(Driver driver) {
    this.driver = driver;
  }

  /** Mutable: works that have come. */
  static final class Sequence {
    private final List<Work> works;
    private @Nullable Graph graph;
    private long used;

    Sequence(List<Work> works, long used) {
      this.works = List.copyOf(works);
      this.used = used;
    }

    int size() {
      return works.size();
    }

    boolean has(int at, Work work) {
      return at < works.size() && works.get(at).equals(work);
    }
  }

  /** Those with a graph. */
  List<Sequence> beginningWith(Work first) {
    List<Sequence> all = new ArrayList<>();
    for (Sequence one : known) {
      if (one.graph != null && one.has(0, first)) {
        all.add(one);
      }
    }
    return all;
  }

  /** One of {@link #beginningWith}. */
  void run(Sequence sequence) {
    Graph graph = sequence.graph;
    if (graph == null) {
      throw new IllegalStateException("has no graph");
    }
    sequence.used = ++clock;
    graph.run();
  }

  /** These have been run, one by one. */
  void came(List<Work> works) {
    if (refused || works.size() < LEAST) {
      return;
    }
    for (Sequence one : known) {
      if (one.works.equals(works)) {
        one.used = ++clock;
        take(one);
        return;
      }
    }
    if (known.size() == KNOWN) {
      forget(known.stream().min(Comparator.comparingLong(one -> one.used)).orElseThrow());
    }
    known.add(new Sequence(works, ++clock));
  }

  private void take(Sequence sequence) {
    try {
      sequence.graph = driver.graph(sequence.works);
    } catch (IllegalStateException e) {
      LOG.warn("works are launched one by one, for the device takes no graph: {}", e.getMessage());
      close();
      refused = true;
    }
  }

  private void forget(Sequence sequence) {
    known.remove(sequence);
    if (sequence.graph != null) {
      sequence.graph.close();
      sequence.graph = null;
    }
  }

  void close() {
    List.copyOf(known).forEach(this::forget);
  }
}
