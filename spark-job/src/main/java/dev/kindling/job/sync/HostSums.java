package dev.kindling.job.sync;

import dev.kindling.job.ingest.Tasks;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.apache.spark.Partition;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.rdd.PartitionCoalescer;
import org.apache.spark.rdd.PartitionGroup;
import org.apache.spark.rdd.RDD;
import org.apache.spark.storage.StorageLevel;
import scala.Option;
import scala.reflect.ClassTag$;

/**
 * Mutable: sums of a step's tasks that become one on each host before they leave it, whatever the
 * number of its executors and GPUs. In a first stage each task keeps its frame as a block of
 * Spark's, in memory and if there is no room on disk, and returns what it says beside it; in a
 * second one a task for each host reads the host's blocks, those of its own JVM where they lie and
 * its neighbours' over the loopback, and returns one sum. Sums are exact, so that the bits are
 * those of any other order; a block that is lost with its executor is computed again by the task
 * that misses it.
 */
final class HostSums implements AutoCloseable {
  private final JavaSparkContext spark;
  private final JavaRDD<byte[]> kept;
  private final TreeMap<String, Group> hosts = new TreeMap<>();

  /**
   * @param batches what tasks compute with
   * @param work of each: a {@link StepReport} with its sums
   */
  HostSums(JavaSparkContext spark, JavaRDD<byte[]> batches, Tasks.Work<byte[]> work) {
    this.spark = spark;
    this.kept =
        batches
            .mapPartitions(frames -> List.of(work.run(frames)).iterator())
            .persist(StorageLevel.MEMORY_AND_DISK());
  }

  /**
   * Blocks of one host.
   *
   * @param place the executor of the first, as Spark names places of tasks
   */
  private record Group(String place, List<Integer> partitions) implements Serializable {}

  /** Computes so many partitions; gives what their tasks say beside their sums. */
  void compute(List<Integer> partitions, Consumer<byte[]> reports) {
    Tasks.each(
        spark,
        kept,
        partitions,
        frames -> StepReport.withoutPayload(frames.next()),
        (frame, index) -> {
          reports.accept(frame);
          StepReport said = StepReport.decode(frame).report();
          if (said.worked()) {
            String place = "executor_" + said.host() + "_" + said.executor();
            hosts
                .computeIfAbsent(said.host(), host -> new Group(place, new ArrayList<>()))
                .partitions
                .add(partitions.get(index));
          }
        });
  }

  /**
   * Adds what was computed; gives one frame for each host.
   *
   * @param add given the frames of a host's tasks
   */
  void add(Tasks.Work<byte[]> add, Consumer<byte[]> sums) {
    List<Group> groups = List.copyOf(hosts.values());
    if (groups.isEmpty()) {
      return;
    }
    RDD<byte[]> grouped =
        kept.rdd()
            .coalesce(
                groups.size(), false, Option.<PartitionCoalescer>apply(new ByHost(groups)), null);
    Tasks.each(
        spark,
        JavaRDD.fromRDD(grouped, ClassTag$.MODULE$.apply(byte[].class)),
        IntStream.range(0, groups.size()).boxed().toList(),
        add,
        (sum, index) -> sums.accept(sum));
  }

  /** Gives up the blocks. */
  @Override
  public void close() {
    kept.unpersist(false);
  }

  /** The groups as Spark wants them; it asks for Scala's name of what is serialised. */
  private record ByHost(List<Group> groups) implements PartitionCoalescer, scala.Serializable {
    @Override
    public PartitionGroup[] coalesce(int most, RDD<?> parent) {
      Partition[] all = parent.partitions();
      return groups.stream()
          .map(
              group -> {
                PartitionGroup made = new PartitionGroup(Option.apply(group.place));
                group.partitions.forEach(index -> made.partitions().$plus$eq(all[index]));
                return made;
              })
          .toArray(PartitionGroup[]::new);
    }
  }
}
