package dev.kindling.tensor.cuda;

import dev.kindling.tensor.cuda.Driver.Graph;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Mutable: sequences of work that a device was given, and graphs of those that came twice. What
 * comes again is recognised by its values, addresses included, so that a graph does what its works
 * would. docs/gpu.md says what is expected of it.
 */
final class Graphs {
  private static final Logger LOG = LoggerFactory.getLogger(Graphs.class);

  /** Works of a graph: a device that has nothing to do waits until so many are known. */
  static final int MOST = 256;

  /** Works that are worth a graph. */
  private static final int LEAST = 8;

  /** Sequences that came once and are remembered: some 13 MB of the heap, an estimate. */
  private static final int REMEMBERED = 128;

  /** Works of all graphs, which take memory of the device: six shapes of a 7B model's steps. */
  private static final int TAKEN = 1 << 14;

  private final Driver driver;
  private final Deque<List<Work>> cameOnce = new ArrayDeque<>();

  /** The one that was used last is the last one. */
  private final List<Sequence> taken = new ArrayList<>();

  private int takenWorks;
  private long replayed;
  private boolean refused;

  Graphs(Driver driver) {
    this.driver = driver;
  }

  /**
   * Works that one graph does.
   *
   * @param works of it
   */
  record Sequence(List<Work> works, Graph graph) {
    boolean has(int at, Work work) {
      return at < works.size() && works.get(at).equals(work);
    }
  }

  /** Those that there is a graph for. */
  List<Sequence> beginningWith(Work first) {
    List<Sequence> all = new ArrayList<>();
    for (Sequence one : taken) {
      if (one.has(0, first)) {
        all.add(one);
      }
    }
    return all;
  }

  /**
   * Does the works of one of {@link #beginningWith}.
   *
   * @return whether the device has taken them; none is done if not
   */
  boolean run(Sequence sequence) {
    taken.remove(sequence);
    taken.add(sequence);
    try {
      sequence.graph.run();
      replayed += sequence.works.size();
      return true;
    } catch (IllegalStateException e) {
      refuse(e);
      return false;
    }
  }

  /** Works so far that graphs have done. */
  long replayed() {
    return replayed;
  }

  /**
   * These have been run, one by one.
   *
   * @param works kept
   */
  void came(List<Work> works) {
    if (refused || works.size() < LEAST) {
      return;
    }
    if (cameOnce.remove(works)) {
      take(works);
      return;
    }
    if (cameOnce.size() == REMEMBERED) {
      cameOnce.removeFirst();
    }
    cameOnce.add(works);
  }

  private void take(List<Work> works) {
    while (takenWorks + works.size() > TAKEN) {
      forget(taken.get(0));
    }
    try {
      taken.add(new Sequence(works, driver.graph(works)));
      takenWorks += works.size();
    } catch (IllegalStateException e) {
      refuse(e);
    }
  }

  private void refuse(IllegalStateException why) {
    LOG.warn("works are launched one by one, for the device takes no graph: {}", why.getMessage());
    refused = true;
    forgetAll();
  }

  private void forget(Sequence sequence) {
    taken.remove(sequence);
    takenWorks -= sequence.works.size();
    sequence.graph.close();
  }

  /**
   * Gives back what the device keeps for graphs.
   *
   * @return whether there was any
   */
  boolean forgetAll() {
    boolean any = !taken.isEmpty();
    List.copyOf(taken).forEach(this::forget);
    return any;
  }
}
