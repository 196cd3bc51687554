package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.Storage;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Large models beside a device's memory, without the device. */
class PlannedStepTest {
  /**
   * 7B and rank 8 in bf16. An H200 was seen to hold 12,853 MiB of weights and 8,595 and 17,097 MiB
   * of a step. The others follow from sizes: 6.476 billion weights of blocks in 4.127 or 8.127
   * bits, 500 MiB of embeddings and head, 86 MiB into which the largest matrix is decoded. One MiB
   * has come since: what layers that read the same input share, 24 ranks of 4,096 features in bf16
   * and their gradients in fp32.
   */
  @ParameterizedTest
  @CsvSource({
    "2048,FP32,false,12853,8595",
    "4096,FP32,false,12853,17097",
    "2048,FP32,true,12853,1109",
    "2048,NF4,false,3773,8595",
    "2048,NF4,true,3773,1109",
    "2048,INT8,false,6861,8595",
    "8192,NF4,true,3773,4157"
  })
  void sevenBillion_anyBase_takesWhatADeviceWasSeenToHold(
      int tokens, Storage storage, boolean recompute, long weights, long step) {
    GpuStep.Planned found = new GpuStep("7B", 8, tokens, 1, "flops").planned(storage, recompute);
    assertThat(found).isEqualTo(new GpuStep.Planned(weights, step + 1));
  }

  /** What docs/gpu.md counts: what a host has to ask for in a micro-batch of 2,048 tokens. */
  @ParameterizedTest
  @CsvSource({"60M,646", "250M,1926", "7B,2566"})
  void works_ofAMicroBatch_areAsManyAsIsSaid(String model, int works) {
    assertThat(new GpuStep(model, 8, 2048, 1, "flops").works()).isEqualTo(works);
  }
}
