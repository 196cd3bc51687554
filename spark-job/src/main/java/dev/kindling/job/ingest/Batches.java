package dev.kindling.job.ingest;

import dev.kindling.data.EpochOrder;
import dev.kindling.data.Example;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.Partitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.storage.StorageLevel;
import org.jspecify.annotations.Nullable;
import scala.Tuple2;

/**
 * The micro-batches of a range of positions in the stream of examples, shuffled so that those of
 * one step lie in a few partitions of their own. Which examples a micro-batch holds depends on
 * positions alone; partitions only decide who computes it.
 */
public final class Batches {
  /** Most partitions of one shuffle; longer ranges keep several steps in each. */
  private static final int MOST_PARTITIONS = 4096;

  private final JavaRDD<byte[]> frames;
  private final Layout layout;

  private Batches(JavaRDD<byte[]> frames, Layout layout) {
    this.frames = frames;
    this.layout = layout;
  }

  /**
   * One micro-batch as it lies in a partition.
   *
   * @param step from 0
   * @param rows in stream order
   */
  public record MicroBatch(long step, List<Example> rows) {
    static byte[] encode(long step, List<Example> rows) {
      int size = 12 + rows.stream().mapToInt(Example::encodedBytes).sum();
      ByteBuffer frame = ByteBuffer.allocate(size).putLong(step).putInt(rows.size());
      rows.forEach(row -> row.encode(frame));
      return frame.array();
    }

    /** The step of a frame, without decoding its rows. */
    public static long step(byte[] encoded) {
      return ByteBuffer.wrap(encoded).getLong();
    }

    /** Decodes a frame. */
    public static MicroBatch decode(byte[] encoded) {
      ByteBuffer frame = ByteBuffer.wrap(encoded);
      long step = frame.getLong();
      List<Example> rows = new ArrayList<>();
      for (int n = frame.getInt(); n > 0; n--) {
        rows.add(Example.decode(frame));
      }
      return new MicroBatch(step, rows);
    }
  }

  /**
   * Where a position goes: its step's group of steps, and within it the lane of its micro-batch.
   */
  private static final class Layout extends Partitioner {
    private static final long serialVersionUID = 1;
    private final long firstStep;
    private final int batch;
    private final int microBatch;

    /** Steps in one partition. */
    private final int grouped;

    /** Partitions that share a step. */
    private final int lanes;

    private final int partitions;

    Layout(long firstStep, long steps, int batch, int microBatch, int lanes) {
      this.firstStep = firstStep;
      this.batch = batch;
      this.microBatch = microBatch;
      this.lanes = lanes;
      int groups = Math.max(1, MOST_PARTITIONS / lanes);
      this.grouped = Math.toIntExact((steps + groups - 1) / groups);
      this.partitions = Math.toIntExact((steps + grouped - 1) / grouped * lanes);
    }

    @Override
    public int numPartitions() {
      return partitions;
    }

    @Override
    public int getPartition(Object key) {
      long position = (Long) key;
      int lane = (int) (position % batch / microBatch % lanes);
      return firstPartition(position / batch) + lane;
    }

    int firstPartition(long step) {
      return Math.toIntExact((step - firstStep) / grouped * lanes);
    }
  }

  /**
   * Lays out positions {@code [from, to)}.
   *
   * @param from a multiple of batch
   * @param batch positions of a step
   * @param microBatch positions computed at once
   * @param lanes partitions that share a step; at most the micro-batches of a batch are used
   */
  public static Batches lay(
      Examples examples,
      EpochOrder order,
      long from,
      long to,
      int batch,
      int microBatch,
      int lanes) {
    long steps = (to - from + batch - 1) / batch;
    int parts = (batch + microBatch - 1) / microBatch;
    Layout layout =
        new Layout(from / batch, steps, batch, microBatch, Math.max(1, Math.min(lanes, parts)));
    Broadcast<long[][]> first = examples.firstIndices();
    Emitter emitter = new Emitter(order.examples(), order, from, to);
    JavaPairRDD<Long, byte[]> placed =
        examples
            .frames()
            .mapPartitionsToPair(
                frames -> new Placed(Examples.indexed(frames, first.value()), emitter))
            .repartitionAndSortWithinPartitions(layout);
    JavaRDD<byte[]> frames =
        placed
            .mapPartitions(sorted -> new Assembler(sorted, batch, microBatch))
            .persist(StorageLevel.MEMORY_AND_DISK());
    return new Batches(frames, layout);
  }

  /** Micro-batch frames. */
  public JavaRDD<byte[]> frames() {
    return frames;
  }

  /** Partitions that hold a step's micro-batches. */
  public List<Integer> partitionsOf(long step) {
    List<Integer> partitions = new ArrayList<>();
    for (int lane = 0; lane < layout.lanes; lane++) {
      partitions.add(layout.firstPartition(step) + lane);
    }
    return partitions;
  }

  /** Frees what the executors keep. */
  public void release() {
    frames.unpersist(false);
  }

  /** All positions of an example within a range. */
  private record Emitter(long n, EpochOrder order, long from, long to)
      implements java.io.Serializable {
    List<Tuple2<Long, byte[]>> positions(Example example) {
      List<Tuple2<Long, byte[]>> placed = new ArrayList<>();
      for (long epoch = from / n; epoch <= (to - 1) / n; epoch++) {
        long position = order.positionOf(example.position(), epoch);
        if (position >= from && position < to) {
          placed.add(new Tuple2<>(position, example.at(position).encode()));
        }
      }
      return placed;
    }
  }

  private static final class Placed implements Iterator<Tuple2<Long, byte[]>> {
    private final Iterator<Example> examples;
    private final Emitter emitter;
    private Iterator<Tuple2<Long, byte[]>> now = List.<Tuple2<Long, byte[]>>of().iterator();

    Placed(Iterator<Example> examples, Emitter emitter) {
      this.examples = examples;
      this.emitter = emitter;
    }

    @Override
    public boolean hasNext() {
      while (!now.hasNext() && examples.hasNext()) {
        now = emitter.positions(examples.next()).iterator();
      }
      return now.hasNext();
    }

    @Override
    public Tuple2<Long, byte[]> next() {
      if (!hasNext()) {
        throw new java.util.NoSuchElementException();
      }
      return now.next();
    }
  }

  /** Packs sorted positions into micro-batches. */
  private static final class Assembler implements Iterator<byte[]> {
    private final Iterator<Tuple2<Long, byte[]>> sorted;
    private final int batch;
    private final int microBatch;
    private @Nullable Example ahead;

    Assembler(Iterator<Tuple2<Long, byte[]>> sorted, int batch, int microBatch) {
      this.sorted = sorted;
      this.batch = batch;
      this.microBatch = microBatch;
      this.ahead = pull();
    }

    private @Nullable Example pull() {
      return sorted.hasNext() ? Example.decode(ByteBuffer.wrap(sorted.next()._2())) : null;
    }

    @Override
    public boolean hasNext() {
      return ahead != null;
    }

    @Override
    public byte[] next() {
      if (ahead == null) {
        throw new java.util.NoSuchElementException();
      }
      long step = ahead.position() / batch;
      long micro = ahead.position() % batch / microBatch;
      List<Example> rows = new ArrayList<>();
      while (ahead != null
          && ahead.position() / batch == step
          && ahead.position() % batch / microBatch == micro) {
        rows.add(ahead);
        ahead = pull();
      }
      return MicroBatch.encode(step, rows);
    }
  }
}
