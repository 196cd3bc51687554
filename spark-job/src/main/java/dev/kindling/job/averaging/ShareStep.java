package dev.kindling.job.averaging;

import dev.kindling.dl4j.AdapterNetwork;
import dev.kindling.job.ingest.MicroBatch;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.nd4j.linalg.dataset.DataSet;

/**
 * A worker's share of a step, in the form in which Deeplearning4j hands it on: for that a data set
 * of one placeholder. Made in the task that trains on it.
 */
final class ShareStep extends DataSet {
  private static final long serialVersionUID = 1;
  private final long step;
  private final transient List<MicroBatch> batches;

  private ShareStep(long step, List<MicroBatch> batches) {
    super(AdapterNetwork.placeholder().getFeatures(), AdapterNetwork.placeholder().getLabels());
    this.step = step;
    this.batches = batches;
  }

  long step() {
    return step;
  }

  List<MicroBatch> batches() {
    return batches;
  }

  /** The steps of {@code [from, to)} in a lane's frames. */
  static Iterator<DataSet> in(Iterator<byte[]> frames, long from, long to) {
    return new Reader(frames, from, to);
  }

  /** Micro-batches of a step come in any order; sums of floats depend on it. */
  private static final Comparator<MicroBatch> IN_ORDER =
      Comparator.comparingLong(batch -> batch.rows().get(0).get(0).position());

  private static final class Reader implements Iterator<DataSet> {
    private final Iterator<byte[]> frames;
    private final long to;
    private byte[] ahead = new byte[0];
    private long next;

    Reader(Iterator<byte[]> frames, long from, long to) {
      this.frames = frames;
      this.to = to;
      do {
        pull();
      } while (next < from);
    }

    private void pull() {
      boolean more = frames.hasNext();
      ahead = more ? frames.next() : ahead;
      next = more ? MicroBatch.step(ahead) : Long.MAX_VALUE;
    }

    @Override
    public boolean hasNext() {
      return next < to;
    }

    @Override
    public DataSet next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      long step = next;
      List<MicroBatch> batches = new ArrayList<>();
      while (next == step) {
        batches.add(MicroBatch.decode(ahead));
        pull();
      }
      batches.sort(IN_ORDER);
      return new ShareStep(step, batches);
    }
  }
}
