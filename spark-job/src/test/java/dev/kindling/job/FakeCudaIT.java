package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Whole jobs with the engine for GPUs, from its jar to the calls of CUDA, on machines whose two
 * GPUs are the CPU (the cuda module's {@code fake-cuda}): the guard, the discovery script, devices
 * by their UUIDs, kernels and products, streams and graphs.
 */
class FakeCudaIT {
  private static final Path ADAPTER = Path.of("adapter/adapter_model.safetensors");
  private static final Path ENGINE = Path.of("../cuda/target/kindling-cuda.jar").toAbsolutePath();

  @TempDir private static Path cuda;
  @TempDir private static Path natives;

  @TempDir private Path temp;

  @BeforeAll
  static void build() throws IOException, InterruptedException {
    boolean compiler =
        Stream.of(System.getenv("PATH").split(":", -1))
            .anyMatch(folder -> Files.isExecutable(Path.of(folder, "g++")));
    if (!compiler) {
      System.err.println("NOT TESTED, for there is no g++ here: jobs on GPUs that are the CPU");
    }
    assumeTrue(compiler, "no g++");
    Process build =
        new ProcessBuilder("../cuda/src/test/cpp/fake-cuda", cuda.toString(), "2")
            .inheritIO()
            .start();
    assertThat(build.waitFor()).isZero();
  }

  /** In a process that finds such a CUDA, and keeps what it links to it apart. */
  private static Launched onFakeGpus(List<String> arguments) {
    String path = cuda + ":" + System.getenv("PATH");
    return Launched.kindling(
        arguments,
        Map.of(
            "PATH",
            path,
            "LD_LIBRARY_PATH",
            cuda.toString(),
            "JAVA_TOOL_OPTIONS",
            "-Dorg.bytedeco.javacpp.cachedir=" + natives));
  }

  private static List<String> cluster(String master, int perExecutor) {
    List<String> options =
        new ArrayList<>(List.of("--master", master, "--jars", ENGINE.toString()));
    Path script = Path.of("../submit/getGpus.sh").toAbsolutePath();
    for (String setting :
        List.of(
            "spark.executor.memory=512m",
            "spark.executor.cores=" + perExecutor,
            "spark.executor.resource.gpu.amount=" + perExecutor,
            "spark.worker.resource.gpu.amount=2",
            "spark.worker.resource.gpu.discoveryScript=" + script,
            "spark.cores.max=2",
            "spark.scheduler.minRegisteredResourcesRatio=1",
            "spark.scheduler.maxRegisteredResourcesWaitingTime=180s")) {
      options.addAll(List.of("--conf", setting));
    }
    return options;
  }

  /** One GPU in one process, two in two executors, and two in one: the same bytes. */
  @Test
  void train_onOneGpuOrTwo_hasTheSameBytes() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    String[] settings = {"train.micro-batch-size=1", "compute.backend=cuda"};
    Path one = temp.resolve("one");
    List<String> arguments =
        new ArrayList<>(List.of("--master", "local[1]", "--jars", ENGINE.toString()));
    arguments.addAll(bert.train(one, settings));
    Launched run = onFakeGpus(arguments);
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(bert.shareOff(one)).as("of PyTorch's adapter").isBetween(0.0, 0.01);

    int executors = 2;
    for (String master : List.of("local-cluster[1,2,1024]", "local-cluster[1,2,2048]")) {
      Path output = temp.resolve("of-" + executors);
      arguments = cluster(master, 2 / executors);
      arguments.addAll(bert.train(output, settings));
      run = onFakeGpus(arguments);
      assertThat(run.code()).as(run.stderr()).isZero();
      JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
      assertThat(manifest.at("/compute/backend").asText()).isEqualTo("cuda");
      assertThat(manifest.get("executors")).hasSize(executors);
      assertThat(manifest.get("executors").toString())
          .contains("GPU-00112233-4455-6677-8899-aabbccddee00")
          .contains("GPU-00112233-4455-6677-8899-aabbccddee01");
      assertThat(output.resolve(ADAPTER)).hasSameBinaryContentAs(one.resolve(ADAPTER));
      executors--;
    }
  }

  @ParameterizedTest
  @CsvSource({"llama-gqa,bf16,2e-2", "gpt2,tf32,1e-3"})
  void train_inOtherPrecisions_staysAtTheLossesOfTheCpu(String name, String precision, double bound)
      throws Exception {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    Path output = temp.resolve("gpu");
    List<String> arguments =
        new ArrayList<>(List.of("--master", "local[1]", "--jars", ENGINE.toString()));
    arguments.addAll(golden.train(output, "compute.backend=cuda", "train.precision=" + precision));
    Launched run = onFakeGpus(arguments);
    assertThat(run.code()).as(run.stderr()).isZero();
    List<Double> found = GoldenFolder.losses(output);
    List<Double> wanted = golden.expectedLosses();
    assertThat(found).hasSameSizeAs(wanted);
    for (int step = 0; step < wanted.size(); step++) {
      assertThat(Math.abs(found.get(step) - wanted.get(step)))
          .as("step %d", step)
          .isLessThan(bound * Math.max(1, wanted.get(step)));
    }
  }
}
