package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
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
class FakeCudaIT extends MethodCase {
  private static final Path ENGINE = Path.of("../cuda/target/kindling-cuda.jar").toAbsolutePath();

  @TempDir private static Path cuda;
  @TempDir private static Path natives;

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
  private static Launched onFakeGpus(List<String> arguments, Map<String, String> besides) {
    return Launched.kindling(arguments, environment(besides));
  }

  private static Map<String, String> environment(Map<String, String> besides) {
    Map<String, String> environment = new HashMap<>(besides);
    environment.put("PATH", cuda + ":" + System.getenv("PATH"));
    environment.put("LD_LIBRARY_PATH", cuda.toString());
    environment.put("CUDA_VISIBLE_DEVICES", "0,1");
    environment.put("JAVA_TOOL_OPTIONS", "-Dorg.bytedeco.javacpp.cachedir=" + natives);
    return environment;
  }

  private static Launched onFakeGpus(List<String> arguments) {
    return onFakeGpus(arguments, Map.of());
  }

  private static List<String> local() {
    return new ArrayList<>(List.of("--master", "local[1]", "--jars", ENGINE.toString()));
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

  /** One GPU in one process, two in two executors, and two in one, where a task runs on each. */
  @Test
  void train_onOneGpuOrTwo_hasTheSameBytes() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    String[] settings = {"train.micro-batch-size=1", "compute.backend=cuda"};
    Path one = temp.resolve("one");
    List<String> arguments = local();
    arguments.addAll(bert.train(one, settings));
    Launched run = onFakeGpus(arguments);
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(run.stderr()).contains("fake CUDA: a graph of ");
    assertThat(bert.shareOff(one)).as("of PyTorch's adapter").isBetween(0.0, 0.01);

    for (int executors = 2; executors > 0; executors--) {
      Path output = temp.resolve("of-" + executors);
      arguments = cluster("local-cluster[1,2,1024]", 2 / executors);
      arguments.addAll(bert.train(output, settings));
      arguments.add("sync.sums=" + (executors == 1 ? "host" : "task"));
      run = onFakeGpus(arguments);
      assertThat(run.code()).as(run.stderr()).isZero();
      JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
      assertThat(manifest.at("/compute/backend").asText()).isEqualTo("cuda");
      assertThat(manifest.get("executors")).hasSize(executors);
      for (JsonNode executor : manifest.get("executors")) {
        assertThat(executor.get("weightLoads").asInt()).isEqualTo(2 / executors);
        assertThat(executor.get("gpus")).hasSize(2 / executors);
      }
      for (int gpu = 0; gpu < 2; gpu++) {
        assertThat(run.stderr())
            .contains("computes on GPU-00112233-4455-6677-8899-aabbccddee0" + gpu);
      }
      assertThat(output.resolve(ADAPTER)).hasSameBinaryContentAs(one.resolve(ADAPTER));
    }
  }

  /** Its GPU goes to the one that takes its place, and the step's part to who has time. */
  @Test
  void executorKilled_inMidRun_costsTimeOnly() throws Exception {
    GoldenFolder llama = GoldenFolder.copy("llama-gqa", temp);
    String[] settings = {
      "train.steps=30", "train.micro-batch-size=1", "adapter.dropout=0.1", "compute.backend=cuda"
    };
    Path whole = temp.resolve("whole");
    List<String> arguments = local();
    arguments.addAll(llama.train(whole, settings));
    Launched undisturbed = onFakeGpus(arguments);
    assertThat(undisturbed.code()).as(undisturbed.stderr()).isZero();

    Path output = temp.resolve("output");
    arguments = cluster("local-cluster[1,2,1024]", 1);
    arguments.addAll(llama.train(output, settings));
    try (Running run = Running.kindling(arguments, environment(Map.of()))) {
      run.awaitSteps(output, 5);
      assertThat(run.killExecutors(1)).isEqualTo(1);
      Launched done = run.end();
      assertThat(done.code()).as(done.stderr()).isZero();
    }
    assertThat(output.resolve(ADAPTER)).hasSameBinaryContentAs(whole.resolve(ADAPTER));
    assertThat(GoldenFolder.losses(output)).isEqualTo(GoldenFolder.losses(whole)).hasSize(30);
  }

  /** Where a method asks more of an engine than LoRA does. */
  @ParameterizedTest
  @CsvSource({
    "qlora,llama-gqa,adapter.magnitudes=true",
    "ce-lora,gpt2,sampling.every-steps=2",
    "dylora,qwen2,train.seed=3",
    "cola,roberta,train.seed=3"
  })
  void train_byMethod_hasTheLossesOfTheCpu(String method, String name, String setting)
      throws Exception {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    Path cpu = train(golden, method, setting, "compute.backend=onednn");
    Path gpu = temp.resolve("gpu");
    List<String> arguments = local();
    arguments.addAll(fresh(golden, gpu, setting, "method=" + method, "compute.backend=cuda"));
    Launched run = onFakeGpus(arguments);
    assertThat(run.code()).as(run.stderr()).isZero();
    List<Double> wanted = GoldenFolder.losses(cpu);
    assertThat(GoldenFolder.losses(gpu)).hasSameSizeAs(wanted);
    for (int step = 0; step < wanted.size(); step++) {
      assertThat(GoldenFolder.losses(gpu).get(step))
          .as("step %d", step)
          .isCloseTo(wanted.get(step), withinPercentage(1e-3));
    }
  }

  @ParameterizedTest
  @CsvSource({"llama-gqa,bf16,2e-2", "gpt2,tf32,1e-3"})
  void train_inOtherPrecisions_staysAtTheLossesOfTheCpu(String name, String precision, double bound)
      throws Exception {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    Path output = temp.resolve("gpu");
    List<String> arguments = local();
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

  /** Workers that go on by themselves, each on its GPU or both on one. */
  @Test
  void train_averaging_onTwoGpusIsThatOfOne() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    String[] settings = {
      "sync.mode=averaging",
      "sync.workers=2",
      "sync.averaging-frequency=2",
      "train.micro-batch-size=1",
      "compute.backend=cuda"
    };
    Path two = temp.resolve("two");
    List<String> arguments = cluster("local-cluster[1,2,1024]", 1);
    arguments.addAll(bert.train(two, settings));
    Launched run = onFakeGpus(arguments);
    assertThat(run.code()).as(run.stderr()).isZero();
    Path one = temp.resolve("one");
    arguments = local();
    arguments.addAll(bert.train(one, settings));
    run = onFakeGpus(arguments);
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(two.resolve(ADAPTER)).hasSameBinaryContentAs(one.resolve(ADAPTER));
  }

  /** Others have the memory that the plan counts on. */
  @Test
  void train_gpuWhoseMemoryOthersHave_saysWhatIsFree() {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path output = temp.resolve("out");
    List<String> arguments = local();
    arguments.addAll(bert.train(output, "compute.backend=cuda"));
    int bytes = (32 << 20) + (64 << 10); // cublasLt's workspace, and less than the base
    Launched run = onFakeGpus(arguments, Map.of("FAKE_CUDA_BYTES", String.valueOf(bytes)));
    assertThat(run.code()).as(run.stderr()).isEqualTo(3);
    assertThat(run.stderr())
        .containsPattern("the GPU's memory: \\d MB of 32 MB are free")
        .contains("train.micro-batch-size", "train.recompute = block");
    assertThat(output.resolve("_SUCCESS")).doesNotExist();
  }
}
