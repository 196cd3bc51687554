package dev.kindling.job.broadcast;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What each resource manager leaves for tensors, and what is said where that is too little. */
class MemoryBudgetTest {
  private static final long MIB = 1 << 20;
  private static final long PHYSICAL = 16_384 * MIB;

  private static SparkConf conf(String... settings) {
    SparkConf conf = new SparkConf(false);
    for (int i = 0; i < settings.length; i += 2) {
      conf.set(settings[i], settings[i + 1]);
    }
    return conf;
  }

  /** Spark's defaults: a tenth of the heap, at least 384 MiB. */
  @ParameterizedTest
  @CsvSource({
    "yarn,1g,,384",
    "yarn,20g,,2048",
    "yarn,20g,3g,3072",
    "k8s://https://host,20g,,2048",
    "k8s://https://host,512m,,384",
    "yarn,4096,900,900"
  })
  void of_containers_isTheOverhead(String master, String heap, String overhead, long mib) {
    SparkConf conf = conf("spark.executor.memory", heap);
    if (overhead != null) {
      conf.set("spark.executor.memoryOverhead", overhead);
    }
    MemoryBudget budget = MemoryBudget.of(master, conf, PHYSICAL);
    assertThat(budget.bytes()).isEqualTo(mib * MIB - MemoryBudget.BESIDE);
    assertThat(budget.found()).contains("memoryOverhead = " + mib + "m");
  }

  @Test
  void of_standalone_isTheMachineWithoutTheHeap() {
    SparkConf conf = conf("spark.executor.memory", "4g");
    assertThat(MemoryBudget.of("spark://h:7077", conf, PHYSICAL).bytes())
        .isEqualTo(12_288 * MIB - MemoryBudget.BESIDE);
    assertThat(MemoryBudget.of("local[4]", conf, PHYSICAL).bytes())
        .isEqualTo(PHYSICAL - Runtime.getRuntime().maxMemory() - MemoryBudget.BESIDE);
  }

  @Test
  void require_planTooLarge_saysWhatToSet() {
    SparkConf conf = conf("spark.executor.memory", "2g", "spark.executor.memoryOverhead", "2g");
    MemoryBudget budget = MemoryBudget.of("yarn", conf, PHYSICAL);
    MemoryPlan fits = new MemoryPlan(1, 8, 128, 1000 * MIB, 0, 200 * MIB, MIB, 70 * MIB);
    assertThatCode(() -> budget.require(fits)).doesNotThrowAnyException();
    MemoryPlan large = new MemoryPlan(2, 8, 128, 1000 * MIB, 0, 2000 * MIB, MIB, 70 * MIB);
    assertThatThrownBy(() -> budget.require(large))
        .isInstanceOf(DoesNotFit.class)
        .hasMessageContaining("needs 3,839 MiB beside its heap")
        .hasMessageContaining("activations 2,000")
        .hasMessageContaining("2 task(s) of 8 × 128 tokens")
        .hasMessageContaining("--conf spark.executor.memoryOverhead=3839m");
  }

  /** Two tasks of parameters, gradient and moments, two broadcasts, one pair of factors. */
  @Test
  void averaging_countsDeeplearning4jsArrays() {
    MemoryPlan plan = new MemoryPlan(2, 8, 128, 0, 0, 0, 5, 0);
    assertThat(plan.averaging(100, 800).withFactors(7).adapters())
        .isEqualTo(5 + 2 * (400 + 400 + 800) + 2 * (400 + 800) + 7);
  }
}
