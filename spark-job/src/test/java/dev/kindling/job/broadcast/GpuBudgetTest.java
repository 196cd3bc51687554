package dev.kindling.job.broadcast;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

/** Plans and the memory of devices. */
class GpuBudgetTest {
  private static final long GIB = 1L << 30;

  /** Two tasks, each with a device: 14 GiB of base on both, and half of the rest on each. */
  private static final MemoryPlan PLAN =
      new MemoryPlan(2, 4, 2048, 14 * GIB, 0, 16 * GIB, 2 * GIB, 4 * GIB);

  @Test
  void require_baseAndOneTasksTensors_fitOrAreRefusedWithTheNumbers() {
    long needed = 25 * GIB + GpuBudget.BESIDE;
    new GpuBudget(needed).require(PLAN);
    assertThatThrownBy(() -> new GpuBudget(needed - 1).require(PLAN))
        .isInstanceOf(DoesNotFit.class)
        .hasMessageContaining("a GPU needs 27,392 MiB: base 14,336, activations 8,192")
        .hasMessageContaining("4 × 2,048 tokens")
        .hasMessageContaining("train.micro-batch-size");
  }

  @Test
  void require_unknownMemory_isLeftToTheDevice() {
    new GpuBudget(0).require(PLAN);
  }
}
