package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import dev.kindling.tensor.gpu.MachineReader;
import dev.kindling.tensor.load.Engine;
import dev.kindling.tensor.onednn.InstructionSet;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Backends, precisions and plans change how a run is computed, not what comes out of it. */
class ComputeTest {
  @TempDir Path temp;

  /** Two tasks at once in one JVM: each with scratch and primitives of its own. */
  @ParameterizedTest
  @CsvSource({
    "bert,nd4j,fp32,flops,1,1e-5",
    "bert,onednn,fp32,flops,1,1e-5",
    "bert,onednn,fp32,flops,2,1e-5",
    "bert,onednn,bf16,flops,1,2e-2",
    "llama-gqa,onednn,fp32,fixed:f1kb1,1,1e-4",
    "llama-gqa,onednn,fp32,fixed:f2b5,1,1e-4",
    "llama-gqa,nd4j,fp32,fixed:f2b4,1,1e-4",
    "llama-gqa,onednn,bf16,fixed:f1b1,1,2e-2",
    "llama-gqa,onednn,bf16,fixed:f2b5,2,2e-2",
    "gpt2,onednn,bf16,flops,2,2e-2"
  })
  void train_anyWayOfComputing_followsPyTorch(
      String name, String backend, String precision, String plans, int threads, double tolerance)
      throws IOException {
    assumeTrue(precision.equals("fp32") || InstructionSet.multipliesBf16());
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    Path output = temp.resolve("out");
    InProcess run =
        kindling(
            2,
            golden.train(
                output,
                "train.micro-batch-size=2",
                "compute.backend=" + backend,
                "compute.threads=" + threads,
                "train.precision=" + precision,
                "plan.chooser=" + plans));
    assertThat(run.code()).as(run.stdout()).isZero();
    List<Double> losses = GoldenFolder.losses(output);
    for (int step = 0; step < losses.size(); step++) {
      assertThat(losses.get(step)).isCloseTo(golden.expectedLosses().get(step), offset(tolerance));
    }
    JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
    assertThat(manifest.at("/compute/backend").asText()).isEqualTo(backend);
    assertThat(manifest.at("/compute/precision").asText()).isEqualTo(precision);
  }

  @Test
  void auto_whereOneDnnIs_choosesItInFp32() {
    assertThat(Engine.best()).isEqualTo(Engine.ONEDNN);
  }

  @Test
  void gpu_thatIsNotThere_isRefusedBeforeAnythingIsRead() {
    assumeTrue(new MachineReader().read().driver().isEmpty(), "there is a driver here");
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path output = temp.resolve("out");
    InProcess run = kindling(1, golden.train(output, "compute.backend=cuda"));
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.messages())
        .contains("compute.backend = cuda, and there is no GPU to use")
        .contains("no NVIDIA driver was found")
        .contains("compute.backend = auto");
    assertThat(Files.exists(output.resolve("_SUCCESS"))).isFalse();
  }

  @Test
  void gpu_twoTasksOfOneJvm_areRefusedToShareIt() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    InProcess run = kindling(2, golden.train(temp.resolve("out"), "compute.backend=cuda"));
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.messages()).contains("its tasks would share one GPU; set --master local[1]");
  }

  @Test
  void gpuEngine_whoseJarIsNotThere_isRefusedWithWhatToBuild() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    InProcess run = kindling(1, golden.train(temp.resolve("out"), "compute.backend=nd4j-cuda"));
    assertThat(run.code()).isEqualTo(3);
    assertThat(run.messages()).contains("mvn package -Pnd4j-cuda").contains("--jars");
  }

  @Test
  void bf16_withTheReferenceBackend_isRefusedBeforeAnythingRuns() {
    InProcess run =
        kindling(
            "train",
            "base.path=b",
            "data.train=t",
            "train.steps=1",
            "output=o",
            "compute.backend=nd4j",
            "train.precision=bf16");
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.stdout()).contains("train.precision = bf16 needs compute.backend = onednn");
  }

  @Test
  void fixedPlan_thatDropoutForbids_isRefused() {
    InProcess run =
        kindling(
            "train",
            "base.path=b",
            "data.train=t",
            "train.steps=1",
            "output=o",
            "adapter.dropout=0.1",
            "plan.chooser=fixed:f1b5");
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.stdout()).contains("adapter.dropout acts on the adapter's branch only");
  }

  @ParameterizedTest
  @CsvSource({"fastest", "fixed:", "fixed:f5b1", "fixed:f1b9", "f1b1"})
  void chooser_unknown_isRefusedWithAnExample(String text) {
    InProcess run =
        kindling("evaluate", "base.path=b", "data.validation=v", "plan.chooser=" + text);
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.stdout()).contains("plan.chooser is '" + text + "'").contains("fixed:f1kb1");
  }
}
