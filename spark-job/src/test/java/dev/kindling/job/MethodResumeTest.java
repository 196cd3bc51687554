package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs of methods that are stopped and go on elsewhere. */
class MethodResumeTest extends MethodCase {
  /** Stopped, on other cores, and averaged: what was drawn or changed before stays that. */
  @ParameterizedTest
  @CsvSource({
    "bert,olora,sync.mode=gradients",
    "llama-gqa,olora,sync.mode=averaging",
    "bert,relora,sync.mode=gradients",
    "bert,cola,sync.mode=averaging",
    "gpt2,dora,sync.mode=averaging",
    "gpt2,ce-lora sampling.every-steps=2,sync.mode=gradients",
    "bert,dylora,sync.mode=gradients",
    "llama-gqa,dylora,sync.mode=averaging",
    "bert,qlora,sync.mode=gradients",
    "llama-gqa,qlora,sync.mode=averaging",
    "gpt2,pissa,sync.mode=gradients",
    "gpt2,orthogonal,sync.mode=gradients",
    "llama-gqa,rslora optimizer.lora-plus-ratio=3,sync.mode=gradients",
    "llama-gqa,rac-lora,sync.mode=gradients",
    "gpt2,ffa-lora,sync.mode=averaging"
  })
  void train_stoppedAndOnOtherCores_givesTheSameBytes(String family, String method, String mode) {
    GoldenFolder golden = GoldenFolder.copy(family, temp);
    List<String> settings =
        new ArrayList<>(List.of(mode, "train.steps=6", "checkpoint.every-steps=2"));
    settings.addAll(words("method=" + method));
    if (mode.endsWith("averaging")) {
      String exactness = method.matches("dylora|dora|qlora|ffa-lora") ? "none" : "fedex"; // cannot
      settings.addAll(
          List.of("sync.workers=2", "sync.averaging-frequency=2", "sync.exactness=" + exactness));
    }
    String[] all = settings.toArray(new String[0]);
    Path whole = temp.resolve("whole");
    assertThat(kindling(1, fresh(golden, whole, all)).code()).isZero();
    Path output = temp.resolve("output");
    List<String> train = fresh(golden, output, all);
    System.setProperty("spark.extraListeners", StopAtStep.class.getName());
    try {
      assertThat(kindling(2, train, StopAtStep.at(3)).code()).isEqualTo(10);
    } finally {
      System.clearProperty("spark.extraListeners");
    }
    assertThat(kindling(3, train).code()).isZero();
    assertThat(output.resolve("adapter/adapter_model.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("adapter/adapter_model.safetensors"));
  }
}
