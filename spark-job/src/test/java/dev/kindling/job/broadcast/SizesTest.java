package dev.kindling.job.broadcast;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import org.apache.spark.SparkConf;
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
    Sizes sizes = Sizes.of(memory, heaps, sent * MIB);
    String[] words = sizes.options().split("[ =]", -1);
    SparkConf conf =
        new SparkConf(false)
            .set("spark.executor.memory", words[3])
            .set("spark.executor.memoryOverhead", words[6]);
    assertThatCode(() -> MemoryBudget.of("yarn", conf, 0).require(memory))
        .doesNotThrowAnyException();
    assertThatCode(() -> new HeapPlan(heaps.executor(), 0).require("yarn", conf, 0))
        .doesNotThrowAnyException();
    long vectors = heaps.driver();
    long blocks = Math.min(sent * MIB, (long) (0.6 * (sizes.driver() * MIB - 300 * MIB)));
    assertThat(sizes.driver() * MIB).isGreaterThanOrEqualTo(300 * MIB + blocks + vectors);
  }
}
