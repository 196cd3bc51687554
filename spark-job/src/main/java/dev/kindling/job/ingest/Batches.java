package dev.kindling.job.ingest;

import dev.kindling.data.EpochOrder;
import dev.kindling.data.Example;
import dev.kindling.data.Grouping;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import org.apache.spark.Partitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.rdd.PartitionPruningRDD;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;
import scala.runtime.AbstractFunction1;

/**
 * The micro-batches of a range of positions in the stream of examples. A first shuffle brings the
 * examples of each step together, where they are cut into micro-batches of like lengths; a second
 * one deals those out so that a step lies in a few partitions of its own. What a micro-batch holds
 * depends on the step's examples alone; partitions only decide who computes it.
 */
public final class Batches {
  /** Most partitions of one shuffle; longer ranges keep several steps in each. */
  private static final int MOST_PARTITIONS = 4096;

  /** Partitions of the first shuffle for each task slot. */
  private static final int GATHERING_WAVES = 4;

  private final JavaRDD<byte[]> frames;
  private final Layout layout;

  private Batches(JavaRDD<byte[]> frames, Layout layout) {
    this.frames = frames;
    this.layout = layout;
  }

  /** Where positions gather: a run of steps in each partition. */
  private static final class Gathering extends Partitioner {
    private static final long serialVersionUID = 1;
    private final long firstStep;
    private final int batch;
    private final long perPartition;
    private final int partitions;

    Gathering(long firstStep, long steps, int batch, int wanted) {
      this.firstStep = firstStep;
      this.batch = batch;
      this.perPartition = (steps + wanted - 1) / wanted;
      this.partitions = Math.toIntExact((steps + perPartition - 1) / perPartition);
    }

    @Override
    public int numPartitions() {
      return partitions;
    }

    @Override
    public int getPartition(Object position) {
      return (int) (((Long) position / batch - firstStep) / perPartition);
    }
  }

  /**
   * Where a micro-batch goes: its step's group of steps, and within it the lane that it was dealt
   * to. The key is {@code step · lanes + lane}.
   */
  private static final class Layout extends Partitioner {
    private static final long serialVersionUID = 1;
    private final long firstStep;

    /** Steps in one partition. */
    private final int grouped;

    /** Partitions that share a step. */
    private final int lanes;

    private final int partitions;

    Layout(long firstStep, long steps, Lanes of) {
      this.firstStep = firstStep;
      this.lanes = of.count();
      int groups = Math.max(1, MOST_PARTITIONS / lanes);
      long fewest = (steps + groups - 1) / groups;
      this.grouped = Math.toIntExact((fewest + of.together() - 1) / of.together() * of.together());
      this.partitions = Math.toIntExact((steps + grouped - 1) / grouped * lanes);
    }

    @Override
    public int numPartitions() {
      return partitions;
    }

    @Override
    public int getPartition(Object key) {
      long dealt = (Long) key;
      return firstPartition(dealt / lanes) + (int) (dealt % lanes);
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
   * @param grouping how a step's examples are cut into micro-batches
   * @param lanes who computes what of a step
   * @param slots tasks that run at once
   * @param needs of the stages that compute on the micro-batches; those before need nothing
   */
  public static Batches lay(
      Examples examples,
      EpochOrder order,
      long from,
      long to,
      int batch,
      Grouping grouping,
      Lanes lanes,
      int slots,
      Optional<ResourceProfile> needs) {
    long steps = (to - from + batch - 1) / batch;
    Layout layout = new Layout(from / batch, steps, lanes);
    Gathering gathering = new Gathering(from / batch, steps, batch, GATHERING_WAVES * slots);
    Broadcast<long[][]> first = examples.firstIndices();
    Emitter emitter = new Emitter(order.examples(), order, from, to);
    JavaPairRDD<Long, byte[]> gathered =
        examples
            .frames()
            .mapPartitionsToPair(
                frames -> new Placed(Examples.indexed(frames, first.value()), emitter))
            .repartitionAndSortWithinPartitions(gathering);
    JavaRDD<byte[]> frames =
        gathered
            .mapPartitionsToPair(sorted -> new Assembler(sorted, batch, grouping, lanes))
            .repartitionAndSortWithinPartitions(layout)
            .values()
            .persist(StorageLevel.MEMORY_AND_DISK());
    needs.ifPresent(frames::withResources); // the same RDD, which now says what its stage needs
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

  /**
   * The micro-batches of a step and of others: one partition for each lane, with a lane's in the
   * order of their steps.
   */
  public JavaRDD<byte[]> lanesOf(long step) {
    int first = layout.firstPartition(step);
    return PartitionPruningRDD.create(frames.rdd(), new Between(first, first + layout.lanes))
        .toJavaRDD();
  }

  /** Scala's predicate of a partition's number. */
  private static final class Between extends AbstractFunction1<Object, Object>
      implements Serializable {
    private static final long serialVersionUID = 1;
    private final int from;
    private final int to;

    Between(int from, int to) {
      this.from = from;
      this.to = to;
    }

    @Override
    public Object apply(Object partition) {
      int number = (Integer) partition;
      return number >= from && number < to;
    }
  }

  /** Frees what the executors keep. */
  public void release() {
    frames.unpersist(false);
  }

  /** All positions of an example within a range. */
  private record Emitter(long n, EpochOrder order, long from, long to) implements Serializable {
    List<Tuple2<Long, byte[]>> positions(Example example) {
      List<Tuple2<Long, byte[]>> placed = new ArrayList<>();
      if (example.position() >= n) { // beyond data.limit
        return placed;
      }
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
        throw new NoSuchElementException();
      }
      return now.next();
    }
  }
}
