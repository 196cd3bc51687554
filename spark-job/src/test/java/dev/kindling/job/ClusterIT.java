package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The job on executors that are JVMs of their own. */
class ClusterIT {
  @TempDir Path temp;

  /**
   * A master and two workers; losses as PyTorch's; both executors work, each loads weights once.
   */
  @ParameterizedTest
  @CsvSource({"bert,fp32,none", "llama-bf16-sharded,as-stored,block"})
  void train_standaloneCluster_bothExecutorsComputeAndLoadTheWeightsOnce(
      String name, String storage, String recompute) throws Exception {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    Path output = temp.resolve("out");
    try (SparkCluster cluster =
        new SparkCluster(2, Files.createDirectory(temp.resolve("cluster")))) {
      List<String> arguments = new ArrayList<>(cluster.options("1g"));
      arguments.addAll(
          golden.train(
              output,
              "train.micro-batch-size=2",
              "base.storage=" + storage,
              "train.recompute=" + recompute,
              "data.validation=" + golden.path("data.jsonl")));
      Launched run = Launched.kindling(arguments, Running.SENDS_THE_JAR);
      assertThat(run.code()).as(run.stderr()).isZero();
      assertThat(run.stdout().strip().lines()).hasSize(1);
    }
    List<Double> losses = GoldenFolder.losses(output);
    assertThat(losses).hasSize(6);
    for (int i = 0; i < losses.size(); i++) {
      assertThat(losses.get(i)).isCloseTo(golden.expectedLosses().get(i), offset(1e-4));
    }
    assertThat(golden.shareOff(output)).isBetween(0.0, 0.001);
    JsonNode executors =
        new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile()).get("executors");
    assertThat(executors).hasSize(2);
    for (JsonNode executor : executors) {
      assertThat(executor.get("weightLoads").asInt()).isEqualTo(1);
      assertThat(executor.get("steps").asDouble()).isGreaterThanOrEqualTo(0.8 * losses.size());
    }
  }

  /**
   * Gradients are summed in fixed point, so that no number of executors shows in the adapter, nor
   * whether the machine sends one sum or each of its four tasks its own.
   */
  @ParameterizedTest
  @ValueSource(strings = {"task", "host"})
  void train_fourExecutorsOfOneMachine_giveTheSameAdapterAsOne(String sums) throws Exception {
    GoldenFolder llama = GoldenFolder.copy("llama-gqa", temp);
    Path one = temp.resolve("one");
    Path four = temp.resolve("four");
    String[] settings = {"train.micro-batch-size=1", "compute.backend=onednn"};
    assertThat(InProcess.kindling(1, llama.train(one, settings)).code()).isZero();
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--master",
                "local-cluster[4,1,512]",
                "--conf",
                "spark.executor.memory=512m",
                "--conf",
                "spark.scheduler.minRegisteredResourcesRatio=1",
                "--conf",
                "spark.scheduler.maxRegisteredResourcesWaitingTime=180s"));
    arguments.addAll(llama.train(four, settings));
    arguments.add("sync.sums=" + sums);
    Launched run = Launched.kindling(arguments.toArray(new String[0]));
    assertThat(run.code()).as(run.stderr()).isZero();
    JsonNode executors =
        new ObjectMapper().readTree(four.resolve("_SUCCESS").toFile()).get("executors");
    assertThat(executors).hasSize(4);
    for (JsonNode executor : executors) {
      assertThat(executor.get("weightLoads").asInt()).isEqualTo(1);
      assertThat(executor.get("steps").asDouble()).isGreaterThanOrEqualTo(3); // of six
    }
    assertThat(GoldenFolder.losses(four)).isEqualTo(GoldenFolder.losses(one)).hasSize(6);
    JsonNode said = run.json();
    double up = said.get("bytesUp").asDouble() / said.get("bytesDown").asDouble();
    if (sums.equals("host")) { // 8 bytes for 16 to the four
      assertThat(up).isBetween(0.4, 0.8);
    } else { // 8 for 4 of each
      assertThat(up).isBetween(1.2, 2.2);
    }
    Path adapter = Path.of("adapter/adapter_model.safetensors");
    assertThat(four.resolve(adapter)).hasSameBinaryContentAs(one.resolve(adapter));
  }

  /** The embedded Spark's own way to several JVMs needs no cluster at all; encrypted, if asked. */
  @ParameterizedTest
  @CsvSource({"false,olora", "true,pissa"})
  void train_localCluster_givesTheSameAdapterAsOneJvm(boolean encrypted, String method) {
    GoldenFolder roberta = GoldenFolder.copy("roberta", temp);
    Path one = temp.resolve("one");
    Path two = temp.resolve("two");
    String[] settings = {"train.micro-batch-size=1", "method=" + method};
    List<String> alone = new ArrayList<>(roberta.train(one, settings));
    List<String> together = new ArrayList<>(roberta.train(two, settings));
    alone.removeIf(a -> a.startsWith("adapter.init-from"));
    together.removeIf(a -> a.startsWith("adapter.init-from"));
    assertThat(InProcess.kindling(1, alone).code()).isZero();
    List<String> arguments =
        new ArrayList<>(List.of("--master", "local-cluster[2,1,1024]", "--conf", "a.b=c d"));
    if (encrypted) {
      for (String setting :
          List.of(
              "spark.authenticate=true",
              "spark.authenticate.secret=kindling",
              "spark.network.crypto.enabled=true",
              "spark.io.encryption.enabled=true")) {
        arguments.addAll(List.of("--conf", setting));
      }
    }
    arguments.addAll(together);
    Launched run = Launched.kindling(arguments.toArray(new String[0]));
    assertThat(run.code()).as(run.stderr()).isZero();
    Path adapter = Path.of("adapter/adapter_model.safetensors");
    assertThat(one.resolve(adapter)).hasSameBinaryContentAs(two.resolve(adapter));
  }

  /** Deeplearning4j's master, its broadcast and its workers, in JVMs that load the job's jar. */
  @Test
  void train_averagingOnLocalCluster_givesTheBytesOfOneJvm() {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path one = temp.resolve("one");
    Path two = temp.resolve("two");
    String[] settings = {
      "sync.mode=averaging",
      "sync.workers=2",
      "sync.averaging-frequency=2",
      "train.micro-batch-size=1"
    };
    assertThat(InProcess.kindling(1, bert.train(one, settings)).code()).isZero();
    List<String> arguments = new ArrayList<>(List.of("--master", "local-cluster[2,1,1024]"));
    arguments.addAll(bert.train(two, settings));
    Launched run = Launched.kindling(arguments.toArray(new String[0]));
    assertThat(run.code()).as(run.stderr()).isZero();
    Path adapter = Path.of("adapter/adapter_model.safetensors");
    assertThat(one.resolve(adapter)).hasSameBinaryContentAs(two.resolve(adapter));
    assertThat(GoldenFolder.losses(two)).isEqualTo(GoldenFolder.losses(one)).hasSize(6);
  }
}
