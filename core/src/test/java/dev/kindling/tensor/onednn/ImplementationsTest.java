package dev.kindling.tensor.onednn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.data.TokenBatch;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Golden;
import dev.kindling.model.Model;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * oneDNN computes whatever it has no fast code for by its reference code ({@code ref:any}, {@code
 * simple:any}), up to a thousand times slower and without a word.
 */
class ImplementationsTest {
  @ParameterizedTest
  @CsvSource({
    "bert,FP32",
    "bert,BF16",
    "llama-gqa,FP32",
    "llama-gqa,BF16",
    "llama-table-saved-head,FP32",
    "llama-table-saved-head,BF16",
    "llama-bf16-sharded,FP32",
    "gpt2,FP32",
    "gpt2,BF16",
  })
  void step_underEveryLegalPlan_runsNoReferenceCode(String name, Precision precision) {
    boolean half = precision == Precision.BF16;
    assumeTrue(!half || InstructionSet.multipliesBf16());
    Golden golden = new Golden(name);
    try (OneDnnBackend backend = new OneDnnBackend(precision, 1);
        FrozenWeights weights = golden.weights(backend)) {
      for (PairPlan plan : new PlanRules(false, half).legal()) {
        step(golden, backend, weights, plan);
      }
      assertThat(backend.implementations())
          .anyMatch(code -> code.startsWith("matmul"))
          .noneMatch(ImplementationsTest::reference);
    }
  }

  /** A matrix whose neighbours lie apart in both directions: the names do tell. */
  @Test
  void product_overScatteredNumbers_runsReferenceCodeAndSaysSo() {
    Tensor memory = CpuMemory.allocate(DType.F32, 64);
    Operand dense = Operand.dense(memory, 3, 3);
    Operand scattered =
        new Operand(dense.address(), DType.F32, new long[] {3, 3}, new long[] {12, 2});
    try (Primitives primitives = new Primitives(1)) {
      new Products(primitives)
          .multiply(scattered, dense, 1, 0, Operand.dense(memory.slice(32, 9), 3, 3));
      assertThat(primitives.implementations()).allMatch(ImplementationsTest::reference);
    }
    CpuMemory.free(memory);
  }

  @Test
  void product_rowsOfTheRightFarApart_areCopiedOnAvx2() {
    assumeTrue(InstructionSet.endsWithAvx2());
    Tensor memory = CpuMemory.allocate(DType.F32, 1 << 16);
    try (Primitives primitives = new Primitives(1)) {
      Operand right = Operand.dense(memory.slice(1 << 15, 1 << 15), 32, 1024);
      new Products(primitives)
          .multiply(
              Operand.dense(memory, 3, 32),
              right,
              1,
              0,
              Operand.dense(memory.slice(128, 1 << 12), 3, 1024));
      assertThat(primitives.implementations()).hasSize(1).allMatch(code -> code.contains("gemm"));
    }
    CpuMemory.free(memory);
  }

  private static boolean reference(String code) {
    return code.contains("ref") || code.contains("simple");
  }

  private static void step(
      Golden golden, OneDnnBackend backend, FrozenWeights weights, PairPlan plan) {
    Trainables trainables =
        new Trainables(backend, golden.layout, new PlanChooser.Fixed(plan)); // the model's to close
    try (Model model = golden.plan.build(backend, weights, trainables, false)) {
      model.load(golden.adapter.values(golden.layout));
      TokenBatch batch = TokenBatch.of(golden.batch(0), golden.plan.rules());
      model.gradient(batch, new float[golden.layout.elements()]);
      model.evaluate(batch);
    }
  }
}
