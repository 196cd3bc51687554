package dev.kindling.job.ingest;

import dev.kindling.data.Example;
import dev.kindling.data.Grouping;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;
import scala.Tuple2;

/**
 * Cuts sorted positions into steps, each step's examples into micro-batches, and deals those out.
 */
final class Assembler implements Iterator<Tuple2<Long, byte[]>> {
  private final Iterator<Tuple2<Long, byte[]>> sorted;
  private final int batch;
  private final Grouping grouping;
  private final Lanes lanes;
  private final Deque<Tuple2<Long, byte[]>> ready = new ArrayDeque<>();
  private @Nullable Example ahead;

  /**
   * @param lanes of a step; keys are {@code step · lanes + lane}
   */
  Assembler(Iterator<Tuple2<Long, byte[]>> sorted, int batch, Grouping grouping, Lanes lanes) {
    this.sorted = sorted;
    this.batch = batch;
    this.grouping = grouping;
    this.lanes = lanes;
    this.ahead = pull();
  }

  private @Nullable Example pull() {
    return sorted.hasNext() ? Example.decode(ByteBuffer.wrap(sorted.next()._2())) : null;
  }

  @Override
  public boolean hasNext() {
    return !ready.isEmpty() || ahead != null;
  }

  @Override
  public Tuple2<Long, byte[]> next() {
    if (ready.isEmpty()) {
      assemble();
    }
    return ready.remove();
  }

  private void assemble() {
    if (ahead == null) {
      throw new NoSuchElementException();
    }
    long step = ahead.position() / batch;
    List<Example> examples = new ArrayList<>();
    while (ahead != null && ahead.position() / batch == step) {
      examples.add(ahead);
      ahead = pull();
    }
    for (Lanes.Dealt dealt : lanes.deal(examples, batch, grouping)) {
      long key = step * lanes.count() + dealt.lane();
      ready.add(new Tuple2<>(key, MicroBatch.encode(step, dealt.rows())));
    }
  }
}
