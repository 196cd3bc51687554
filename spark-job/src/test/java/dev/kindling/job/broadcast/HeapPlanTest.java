package dev.kindling.job.broadcast;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;

/** What trainables take of the heaps, and what is said where those are too small. */
class HeapPlanTest {
  private static final long MILLION = 1_000_000;
  private static final SparkConf CONF = new SparkConf(false).set("spark.executor.memory", "1g");

  /** Six million trainables, two tasks for each executor, four in all: the driver needs most. */
  @Test
  void gradients_countsEveryCopy() {
    HeapPlan plan = HeapPlan.gradients(6 * MILLION, 2, 4, 48 * MILLION);
    assertThat(plan.executor()).isEqualTo(6 * MILLION * 56);
    assertThat(plan.driver()).isEqualTo(6 * MILLION * (24 + 96 + 8));
    assertThat(HeapPlan.gradients(6 * MILLION, 2, 512, 0).driver())
        .isEqualTo(HeapPlan.gradients(6 * MILLION, 2, 4, 0).driver());
  }

  @Test
  void averaging_growsWithTheWorkers() {
    HeapPlan few = HeapPlan.averaging(MILLION, 1, 2, 8 * MILLION);
    HeapPlan many = HeapPlan.averaging(MILLION, 1, 10, 8 * MILLION);
    assertThat(many.executor()).isEqualTo(few.executor());
    assertThat(many.driver() - few.driver()).isEqualTo(2 * 8 * 12 * MILLION);
  }

  /** Ten changes of a million bytes each. */
  @Test
  void withChangesOfTheBase_driverKeepsAllAndExecutorsOne() {
    HeapPlan plan = HeapPlan.averaging(MILLION, 1, 2, 0);
    HeapPlan changing = plan.withChanges(MILLION, 10);
    assertThat(changing.executor() - plan.executor()).isEqualTo(2 * MILLION);
    assertThat(changing.driver() - plan.driver()).isEqualTo(4 * 10 * MILLION);
  }

  @Test
  void require_heapTooSmall_saysWhoseAndWhatToSet() {
    long own = Runtime.getRuntime().maxMemory();
    HeapPlan small = new HeapPlan(100 * MILLION, own / 10);
    assertThatCode(() -> small.require("yarn", CONF, 0)).doesNotThrowAnyException();
    assertThatThrownBy(() -> new HeapPlan(800 * MILLION, 0).require("yarn", CONF, 0))
        .isInstanceOf(DoesNotFit.class)
        .hasMessageContaining("an executor needs 1,062 MiB of heap: 762 for trainables")
        .hasMessageContaining("it has 1,024. Set --executor-memory 1063m");
    assertThatThrownBy(() -> new HeapPlan(0, own).require("local[2]", CONF, 0))
        .isInstanceOf(DoesNotFit.class)
        .hasMessageContaining("the driver needs")
        .hasMessageContaining("--driver-memory");
  }

  /** Blocks of a broadcast base fill their share of the heap, not more. */
  @Test
  void require_largeBroadcast_leavesTheVectorsTheirShare() {
    long own = Runtime.getRuntime().maxMemory();
    long left = own - (300L << 20);
    HeapPlan fits = new HeapPlan(0, (long) (0.39 * left));
    assertThatCode(() -> fits.require("yarn", CONF, 100 * own)).doesNotThrowAnyException();
    HeapPlan large = new HeapPlan(0, (long) (0.41 * left));
    assertThatCode(() -> large.require("yarn", CONF, 0)).doesNotThrowAnyException();
    assertThatThrownBy(() -> large.require("yarn", CONF, 100 * own)).isInstanceOf(DoesNotFit.class);
  }

  /** Of one task 32 bytes for each trainable while it computes, 56 where it then adds others'. */
  @Test
  void addingOnHosts_isAnotherTimeOfTheSameExecutor() {
    assertThat(HeapPlan.gradients(1000, 1, 8, 0).executor()).isEqualTo(32_000);
    assertThat(HeapPlan.gradients(1000, 1, 8, 0).addingOnHosts(1000, 1).executor())
        .isEqualTo(56_000);
    assertThat(HeapPlan.gradients(1000, 8, 8, 0).addingOnHosts(1000, 8).executor())
        .isEqualTo(200_000);
  }
}
