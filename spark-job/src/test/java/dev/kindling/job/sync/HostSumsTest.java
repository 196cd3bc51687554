package dev.kindling.job.sync;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.job.broadcast.MemoryUse;
import dev.kindling.job.ingest.Tasks;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.util.LongAccumulator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** One sum of a host's tasks, whatever becomes of their blocks. */
class HostSumsTest {
  private static final List<Integer> PARTITIONS = List.of(1, 2, 4, 5);

  private final JavaSparkContext spark =
      new JavaSparkContext(
          new SparkConf().setMaster("local[2]").setAppName("t").set("spark.ui.enabled", "false"));
  private final LongAccumulator computed = spark.sc().longAccumulator();

  @AfterEach
  void stop() {
    spark.stop();
  }

  /** Partition p holds p. */
  private JavaRDD<byte[]> numbers() {
    List<byte[]> frames = new ArrayList<>();
    for (int p = 0; p < 6; p++) {
      frames.add(frame(p));
    }
    return spark.parallelize(frames, 6);
  }

  private static byte[] frame(long value) {
    return ByteBuffer.allocate(Long.BYTES).putLong(value).array();
  }

  private static long number(ByteBuffer frame) {
    return frame.getLong();
  }

  /** Of 4 nothing comes: as a task whose lane is empty. */
  private Tasks.Work<byte[]> work() {
    LongAccumulator count = computed;
    return frames -> {
      count.add(1);
      long number = number(ByteBuffer.wrap(frames.next()));
      boolean works = number != 4;
      StepReport report =
          new StepReport(
              SparkEnv.get().executorId(),
              Cluster.host(),
              1,
              number,
              new MemoryUse(0, 0),
              works ? "n" : "",
              "");
      return report.encode(
          works
              ? new StepReport.Payload(Long.BYTES, into -> into.putLong(number))
              : StepReport.Payload.NONE);
    };
  }

  private static Tasks.Work<byte[]> adding() {
    return frames -> {
      long sum = 0;
      while (frames.hasNext()) {
        sum += number(StepReport.decode(frames.next()).payload());
      }
      return frame(sum);
    };
  }

  private static List<Long> added(HostSums sums) {
    List<Long> added = new ArrayList<>();
    sums.add(adding(), frame -> added.add(number(ByteBuffer.wrap(frame))));
    return added;
  }

  @Test
  void add_partitionsOfAStep_isOneSumOfWhatTheyKept() {
    try (HostSums sums = new HostSums(spark, numbers(), work())) {
      List<StepReport.Read> reports = new ArrayList<>();
      sums.compute(PARTITIONS, frame -> reports.add(StepReport.decode(frame)));
      assertThat(reports).extracting(r -> r.payload().remaining()).containsOnly(0);
      assertThat(reports)
          .extracting(r -> r.report().nanos())
          .containsExactlyInAnyOrder(1L, 2L, 4L, 5L);
      assertThat(added(sums)).containsExactly(8L);
      assertThat(computed.value()).as("tasks that computed").isEqualTo(4);
    }
  }

  /** As when the executor that kept them is gone. */
  @Test
  void add_blocksThatAreLost_computesThemAgain() {
    try (HostSums sums = new HostSums(spark, numbers(), work())) {
      sums.compute(PARTITIONS, frame -> {});
      int id = spark.getPersistentRDDs().keySet().iterator().next();
      SparkEnv.get().blockManager().removeRdd(id);
      assertThat(added(sums)).containsExactly(8L);
      assertThat(computed.value()).as("tasks that computed").isEqualTo(7); // all but the idle one
    }
  }

  @Test
  void add_nothingToDo_isNoSum() {
    try (HostSums sums = new HostSums(spark, numbers(), work())) {
      sums.compute(List.of(4), frame -> {});
      assertThat(added(sums)).isEmpty();
    }
  }

  @Test
  void close_givesUpTheBlocks() {
    HostSums sums = new HostSums(spark, numbers(), work());
    sums.compute(PARTITIONS, frame -> {});
    assertThat(spark.getPersistentRDDs()).hasSize(1);
    sums.close();
    assertThat(spark.getPersistentRDDs()).isEmpty();
  }

  @Test
  void pays_whereEnoughStaysAtHome() {
    OnHosts megabyte = new OnHosts(1 << 20);
    assertThat(megabyte.pays(131_072, 2, 1)).isTrue();
    assertThat(megabyte.pays(131_071, 2, 1)).isFalse();
    assertThat(megabyte.pays(131_072, 8, 8)).as("a task each").isFalse();
    assertThat(new OnHosts(OnHosts.ALWAYS).pays(1, 2, 4)).isTrue();
    assertThat(new OnHosts(OnHosts.ALWAYS).pays(1, 1, 1)).as("nothing to add").isFalse();
    assertThat(new OnHosts(OnHosts.NEVER).pays(250_000_000, 10_000, 1)).isFalse();
  }
}
