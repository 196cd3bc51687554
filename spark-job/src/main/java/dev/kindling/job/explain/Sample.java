package dev.kindling.job.explain;

import dev.kindling.data.EpochOrder;
import dev.kindling.data.Example;
import dev.kindling.data.Grouping;
import dev.kindling.data.TokenBatch;
import dev.kindling.job.ingest.Batches;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.ingest.Lanes;
import dev.kindling.job.ingest.MicroBatch;
import dev.kindling.job.ingest.Tasks;
import dev.kindling.job.sync.Cluster;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.function.ToLongFunction;

/**
 * The sizes of the first steps' micro-batches, as training will cut and deal them: without their
 * tokens.
 *
 * @param steps each a list of tasks, each a list of micro-batches
 */
public record Sample(List<List<List<Size>>> steps) {
  /** Steps that are looked at. */
  private static final int MOST_STEPS = 8;

  /**
   * A micro-batch.
   *
   * @param real tokens of all rows, padding not counted
   */
  public record Size(TokenBatch.Shape shape, int real) {}

  /** Lays out the first steps of a run and looks at them. */
  public static Sample of(
      Cluster cluster,
      Examples examples,
      EpochOrder order,
      long steps,
      int batch,
      Grouping grouping) {
    long looked = Math.min(steps, MOST_STEPS);
    int slots = cluster.slots();
    Lanes lanes = Lanes.balanced(slots, batch, grouping);
    Batches batches =
        Batches.lay(
            examples, order, 0, looked * batch, batch, grouping, lanes, slots, Optional.empty());
    cluster.spark().sc().setJobDescription("the first steps' micro-batches");
    List<List<List<Size>>> all = new ArrayList<>();
    for (long step = 0; step < looked; step++) {
      List<List<Size>> tasks = new ArrayList<>();
      long wanted = step;
      Tasks.run(
              cluster.spark(),
              batches.frames(),
              batches.partitionsOf(step),
              frames -> encode(frames, wanted))
          .forEach(frame -> tasks.add(decode(frame)));
      all.add(tasks);
    }
    batches.release();
    return new Sample(all);
  }

  /** Share of the computed tokens that is padding. */
  public double padding() {
    return 1 - (double) tokens() / sum(size -> size.shape.cells());
  }

  /** Tokens of all steps, padding not counted. */
  public long tokens() {
    return sum(Size::real);
  }

  private long sum(ToLongFunction<Size> of) {
    return steps.stream().flatMap(List::stream).flatMap(List::stream).mapToLong(of).sum();
  }

  private static byte[] encode(Iterator<byte[]> frames, long step) {
    List<Size> sizes = new ArrayList<>();
    while (frames.hasNext()) {
      byte[] frame = frames.next();
      if (MicroBatch.step(frame) == step) {
        sizes.add(size(MicroBatch.decode(frame).rows()));
      }
    }
    ByteBuffer encoded = ByteBuffer.allocate(16 * sizes.size());
    for (Size size : sizes) {
      TokenBatch.Shape shape = size.shape;
      encoded.putInt(shape.rows()).putInt(shape.tokens()).putInt(shape.examples());
      encoded.putInt(size.real);
    }
    return encoded.array();
  }

  private static List<Size> decode(byte[] encoded) {
    ByteBuffer frame = ByteBuffer.wrap(encoded);
    List<Size> sizes = new ArrayList<>();
    while (frame.hasRemaining()) {
      TokenBatch.Shape shape = new TokenBatch.Shape(frame.getInt(), frame.getInt(), frame.getInt());
      sizes.add(new Size(shape, frame.getInt()));
    }
    return sizes;
  }

  private static Size size(List<List<Example>> rows) {
    int real = 0;
    for (List<Example> row : rows) {
      real += row.stream().mapToInt(example -> example.ids().length).sum();
    }
    return new Size(TokenBatch.shape(rows), real);
  }
}
