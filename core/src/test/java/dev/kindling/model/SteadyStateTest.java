package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.management.ThreadMXBean;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.cpu.CpuMemory;
import dev.kindling.tensor.onednn.InstructionSet;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * After its first steps a model takes no more memory, however many follow: of tensors, of Java's
 * heap, of what oneDNN and the C library take for themselves.
 */
class SteadyStateTest {
  private static final int STEPS = 1000;
  private static final int FEW = 100;

  /** Bytes; found were 163 to 256 thousand. */
  private static final long MOST_GARBAGE = 320 << 10;

  /**
   * Bytes that a process may grow by in a thousand steps. A thousandth of that, a kilobyte, is what
   * one description of a tensor takes, of which a step makes hundreds. Found were 0 to 57 thousand.
   */
  private static final long MOST_GROWTH = 1 << 20;

  @ParameterizedTest
  @CsvSource({
    "bert,FP32,1",
    "bert,BF16,2",
    "llama-gqa,FP32,2",
    "llama-gqa,BF16,1",
    "gpt2,FP32,2",
    "gpt2,BF16,2"
  })
  void thousandSteps_ofTwoShapes_leaveMemoryAsItWas(String name, Precision precision, int threads) {
    assumeTrue(precision == Precision.FP32 || InstructionSet.multipliesBf16());
    try (SteadySteps steps = new SteadySteps(name, precision, threads)) {
      steps.run(FEW);
      long heap0 = heap();
      assertThat(grown(steps)).as("tensors and descriptions").isLessThanOrEqualTo(0);
      assertThat(heap() - heap0).as("heap after collection").isLessThan(1 << 20);
    }
  }

  /**
   * Native bytes by which a thousand steps leave memory larger. On a busy machine a worker may meet
   * a shape late and describe it then, once; so one of three thousands must do without.
   */
  private static long grown(SteadySteps steps) {
    long grown = 1;
    for (int round = 0; round < 3 && grown > 0; round++) {
      long before = CpuMemory.heldBytes();
      steps.run(STEPS);
      grown = CpuMemory.heldBytes() - before;
    }
    return grown;
  }

  /** All that a process holds resident, in one whose heap was touched beforehand. */
  @ParameterizedTest
  @CsvSource({"bert,1", "llama-gqa,2", "gpt2,2"})
  void thousandSteps_inAProcessOfItsOwn_leaveItAsLarge(String name, int threads) throws Exception {
    long grown = SteadySteps.growthInAnotherProcess(name, threads, STEPS);
    assertThat(grown).as("growth of resident bytes").isLessThan(MOST_GROWTH);
  }

  /**
   * Garbage is views, operands and keys of primitives, some hundred bytes for each of a few hundred
   * operations; nothing of it is as long as a tensor.
   */
  @ParameterizedTest
  @CsvSource({
    "bert,FP32",
    "bert,BF16",
    "llama-gqa,FP32",
    "llama-gqa,BF16",
    "gpt2,FP32",
    "gpt2,BF16"
  })
  void step_afterWarmingUp_leavesLittleGarbage(String name, Precision precision) {
    assumeTrue(precision == Precision.FP32 || InstructionSet.multipliesBf16());
    try (SteadySteps steps = new SteadySteps(name, precision, 1)) {
      steps.run(FEW);
      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      long before = threads.getCurrentThreadAllocatedBytes();
      steps.run(FEW);
      long each = (threads.getCurrentThreadAllocatedBytes() - before) / FEW;
      assertThat(each).as("bytes of Java's heap for a step").isLessThan(MOST_GARBAGE);
    }
  }

  private static long heap() {
    System.gc();
    Runtime java = Runtime.getRuntime();
    return java.totalMemory() - java.freeMemory();
  }
}
