package dev.kindling.job.broadcast;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sizes that are asked for are sizes that will do. */
class SizesTest {
  private static final long MIB = 1 << 20;

  @ParameterizedTest
  @CsvSource({"1,1,1,1", "300,900,5000,0", "2000,4000,100,1500", "10000,1,9000,20000"})
  void of_anyPlans_passTheirOwnChecks(long executor, long driver, long tensors, long sent) {
    MemoryPlan memory = new MemoryPlan(2, 8, 128, tensors * MIB, 0, 3 * MIB, 2, 1);
    HeapPlan heaps = new HeapPlan(executor * MIB, driver * MIB);
    Sizes sizes = Sizes.of(memory, heaps, sent * MIB, 0);
    SparkConf conf =
        new SparkConf(false)
            .set("spark.executor.memory", sizes.executor() + "m")
            .set("spark.executor.memoryOverhead", sizes.overhead() + "m");
    assertThatCode(() -> MemoryBudget.of("yarn", conf, 0).require(memory))
        .doesNotThrowAnyException();
    assertThatCode(() -> new HeapPlan(heaps.executor(), 0).require("yarn", conf, 0))
        .doesNotThrowAnyException();
    // The driver's check looks at its own JVM, so the other executor's stands in for it.
    conf.set("spark.executor.memory", sizes.driver() + "m");
    assertThatCode(() -> new HeapPlan(heaps.driver(), 0).require("yarn", conf, 0))
        .doesNotThrowAnyException();
    long left = sizes.driver() * MIB - heaps.driver() - 300 * MIB;
    long blocks = Math.min(sent * MIB, (long) (0.6 * (sizes.driver() - 300) * MIB));
    assertThat(left).as("left for blocks").isGreaterThanOrEqualTo(blocks);
  }

  /** 1,000 MiB of vectors, 300 of Spark's own, a twentieth beside: 1,365. */
  @Test
  void options_nameEverySize() {
    MemoryPlan memory = new MemoryPlan(1, 8, 128, 232 * MIB, 0, 0, 0, 0);
    Sizes sizes = Sizes.of(memory, new HeapPlan(1000 * MIB, 5700 * MIB), 0, 100 * MIB);
    assertThat(sizes.cluster())
        .isEqualTo(
            "--conf spark.driver.memory=6300m --conf spark.driver.memoryOverhead=730m"
                + " --conf spark.executor.memory=1365m --conf spark.executor.memoryOverhead=1000m");
    assertThat(sizes.local()).isEqualTo("--driver-memory 7350m");
  }
}
