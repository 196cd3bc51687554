package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import dev.kindling.job.gpu.RecordedGpus;
import dev.kindling.tensor.load.GpuEngine;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Spark's GPU scheduling from discovery to the backend, with a script that finds devices where
 * there are none and an engine that writes down which one it was given.
 */
class GpuIT {
  private static final Path ADAPTER = Path.of("adapter/adapter_model.safetensors");

  @TempDir Path temp;

  /** One worker with two devices and an executor for each: reading needs none, steps one each. */
  @Test
  void train_twoExecutorsWithAGpuEach_computeOnTheirOwn() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path one = onTheCpu(bert);
    Path two = temp.resolve("two");
    Path events = Files.createDirectory(temp.resolve("events"));
    List<String> arguments = new ArrayList<>(options("local-cluster[1,2,1024]", "0\",\"1", 1));
    arguments.addAll(conf("spark.eventLog.enabled=true", "spark.eventLog.dir=file:" + events));
    arguments.addAll(bert.train(two, "train.micro-batch-size=1", "compute.backend=cuda"));
    Launched run = Launched.kindling(arguments);
    assertThat(run.code()).as(run.stderr()).isZero();

    Set<String> opened = opened();
    assertThat(opened.stream().map(line -> line.split(" ", -1)[0]).distinct()).hasSize(2);
    assertThat(opened.stream().map(line -> line.split(" ", -1)[1]).distinct()).hasSize(2);
    assertThat(opened).as("executor and device").hasSize(2);
    for (String line : opened) {
      String[] parts = line.split(" ", -1);
      assertThat(run.stderr())
          .contains("executor " + parts[0] + " computes on GPU-fake-" + parts[1]);
    }
    JsonNode manifest = new ObjectMapper().readTree(two.resolve("_SUCCESS").toFile());
    assertThat(manifest.at("/compute/backend").asText()).isEqualTo("cuda");
    assertThat(manifest.get("executors").findValuesAsText("gpus")).hasSize(2);
    for (JsonNode executor : manifest.get("executors")) {
      assertThat(executor.get("weightLoads").asInt()).isEqualTo(1);
    }
    assertThat(two.resolve(ADAPTER)).hasSameBinaryContentAs(one.resolve(ADAPTER));
    stagesAskForGpusOnlyToCompute(events);
  }

  /** What Spark wrote down of one kind. */
  private static List<JsonNode> events(Path folder, String kind) throws IOException {
    List<JsonNode> events = new ArrayList<>();
    try (Stream<Path> logs = Files.walk(folder)) {
      for (Path log : logs.filter(Files::isRegularFile).toList()) {
        for (String line : Files.readAllLines(log)) {
          JsonNode event = new ObjectMapper().readTree(line);
          if (event.path("Event").asText().equals(kind)) {
            events.add(event);
          }
        }
      }
    }
    return events;
  }

  /** The resource profile of each executor. */
  private static Map<String, Integer> profiles(Path events) throws IOException {
    Map<String, Integer> profiles = new TreeMap<>();
    for (JsonNode event : events(events, "SparkListenerExecutorAdded")) {
      profiles.put(
          event.get("Executor ID").asText(),
          event.at("/Executor Info/Resource Profile Id").asInt(-1));
    }
    return profiles;
  }

  private static void stagesAskForGpusOnlyToCompute(Path events) throws IOException {
    Set<Integer> reading = new TreeSet<>();
    Set<Integer> steps = new TreeSet<>();
    for (JsonNode event : events(events, "SparkListenerStageSubmitted")) {
      String job = event.at("/Properties/spark.job.description").asText();
      int profile = event.at("/Stage Info/Resource Profile Id").asInt(-1);
      if (job.startsWith("read")) {
        reading.add(profile);
      } else if (job.startsWith("step")) {
        steps.add(profile);
      }
    }
    assertThat(reading).as("profiles of stages that read").containsExactly(0);
    assertThat(steps).as("what brings examples together, and what computes").hasSize(2).contains(0);
  }

  /** Two workers on one machine whose script shows both the same device. */
  @Test
  void train_twoExecutorsOnOneGpu_isRefused() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path output = temp.resolve("out");
    List<String> arguments = new ArrayList<>(options("local-cluster[2,1,1024]", "0", 1));
    arguments.addAll(bert.train(output, "compute.backend=cuda"));
    Launched run = Launched.kindling(arguments);
    assertThat(run.code()).as(run.stderr()).isEqualTo(2);
    assertThat(run.json().at("/error/messages/0").asText())
        .contains("executors share a GPU")
        .contains("on GPU-fake-0")
        .contains("CUDA_VISIBLE_DEVICES");
    assertThat(Files.exists(output.resolve("_SUCCESS"))).isFalse();
  }

  /** Of two executors one has a device that cannot be used. */
  @Test
  void train_executorWithoutAGpu_computesOnTheCpuIfThatIsAllowed() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    List<String> arguments = new ArrayList<>(options("local-cluster[1,2,1024]", "0\",\"1", 1));
    arguments.addAll(conf("spark.executorEnv." + RecordedGpus.NONE + "=1"));
    Path output = temp.resolve("out");
    arguments.addAll(
        bert.train(
            output,
            "train.micro-batch-size=1",
            "compute.backend=cuda",
            "compute.allow-mixed=true"));
    Launched run = Launched.kindling(arguments);
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(opened()).hasSize(1).allMatch(line -> line.endsWith(" 0"));
    JsonNode executors =
        new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile()).get("executors");
    assertThat(executors).hasSize(2);
    assertThat(executors.findValues("gpus")).hasSize(1);
  }

  /** The memory that the device's driver tells, against the plan's, before a step. */
  @Test
  void train_planThatFitsNoGpu_isRefusedWithNumbersAndKeys() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path output = temp.resolve("out");
    List<String> arguments =
        new ArrayList<>(List.of("--jars", engine().toString(), "--master", "local[1]"));
    arguments.addAll(bert.train(output, "compute.backend=cuda"));
    Launched run = Launched.kindling(arguments, Map.of(RecordedGpus.BYTES, "1073741824"));
    assertThat(run.code()).as(run.stderr()).isEqualTo(4);
    assertThat(run.stderr())
        .containsPattern("a GPU needs 1,79\\d MiB: base \\d.*the smallest one has 1,024")
        .contains("train.micro-batch-size", "train.recompute = block");
    assertThat(output.resolve("metrics.jsonl")).doesNotExist();
  }

  /**
   * Executors come and go as stages ask: what reads has no GPU, what computes gets executors of its
   * own, with one.
   */
  @Test
  void train_dynamicAllocation_stepsGetExecutorsWithGpus() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    Path one = onTheCpu(bert);
    Path two = temp.resolve("two");
    Path events = Files.createDirectory(temp.resolve("events"));
    List<String> arguments = new ArrayList<>(options("local-cluster[1,3,2048]", "0\",\"1", 0));
    arguments.addAll(
        conf(
            "spark.dynamicAllocation.enabled=true",
            "spark.dynamicAllocation.shuffleTracking.enabled=true",
            "spark.dynamicAllocation.maxExecutors=2",
            "spark.kindling.gpu.discoveryScript=" + temp.resolve("gpus.sh"),
            "spark.eventLog.enabled=true",
            "spark.eventLog.dir=file:" + events));
    arguments.addAll(bert.train(two, "train.micro-batch-size=1", "compute.backend=cuda"));
    Launched run = Launched.kindling(arguments);
    assertThat(run.code()).as(run.stderr()).isZero();
    assertThat(two.resolve(ADAPTER)).hasSameBinaryContentAs(one.resolve(ADAPTER));
    stagesAskForGpusOnlyToCompute(events);
    Map<String, Integer> profiles = profiles(events);
    assertThat(profiles.values()).as("of executors that read, and that compute").contains(0);
    for (String line : opened()) {
      assertThat(profiles.get(line.split(" ", -1)[0])).as(line).isPositive();
    }
  }

  /** On the machine that submits: operations, bytes and sizes are counted without a device. */
  @Test
  void explain_withoutAGpu_countsAndTellsNoTimes() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    List<String> explain = bert.train(temp.resolve("out"), "compute.backend=cuda");
    explain.set(explain.indexOf("train"), "explain");
    List<String> local = List.of("--jars", engine().toString(), "--master", "local[1]");
    Launched told = withoutGpus(local, explain);
    assertThat(told.code()).as(told.stderr()).isZero();
    assertThat(told.stderr())
        .contains("without times: no GPU can be used here", "no NVIDIA driver was found");
    assertThat(told.json().get("seconds").isNull()).isTrue();
    assertThat(told.json().at("/work/flops").asDouble()).isPositive();
    assertThat(told.json().at("/memory/base").asLong()).isPositive();
    assertThat(told.json().at("/plans/layers")).isNotEmpty();

    explain.add("--sizes");
    List<String> wide =
        List.of(
            "--jars",
            engine().toString(),
            "--master",
            "local[2]",
            "--conf",
            "spark.executor.resource.gpu.amount=2");
    Launched sized = withoutGpus(wide, explain);
    assertThat(sized.code()).as(sized.stderr()).isZero();
    assertThat(sized.json().get("cluster").asText()).contains("spark.executor.memory=");

    explain.add("plan.chooser=measured");
    Launched refused = withoutGpus(wide, explain);
    assertThat(refused.code()).as(refused.stderr()).isEqualTo(2);
    assertThat(refused.stderr())
        .contains("there is no GPU here to time plans on", "no NVIDIA driver was found");
  }

  private static Launched withoutGpus(List<String> options, List<String> command) {
    return Launched.kindling(
        Stream.concat(options.stream(), command.stream()).toList(), Map.of(RecordedGpus.NONE, "0"));
  }

  /** What the same steps give on the CPU. */
  private Path onTheCpu(GoldenFolder golden) {
    Path output = temp.resolve("one");
    String[] settings = {"train.micro-batch-size=1", "compute.backend=onednn"};
    assertThat(InProcess.kindling(1, golden.train(output, settings)).code()).isZero();
    return output;
  }

  private Path record() {
    return temp.resolve("record");
  }

  /** Executor and address of each device that was opened. */
  private Set<String> opened() throws IOException {
    return new TreeSet<>(Files.readAllLines(record()));
  }

  private static List<String> conf(String... settings) {
    return Stream.of(settings).flatMap(setting -> Stream.of("--conf", setting)).toList();
  }

  /**
   * @param perExecutor devices, and cores, of an executor; 0 leaves it to the stages
   */
  private List<String> options(String master, String addresses, int perExecutor)
      throws IOException {
    Path script = temp.resolve("gpus.sh");
    Files.writeString(
        script, "#!/bin/sh\necho '{\"name\":\"gpu\",\"addresses\":[\"" + addresses + "\"]}'\n");
    assertThat(script.toFile().setExecutable(true)).isTrue();
    int devices = addresses.split(",").length;
    List<String> options =
        new ArrayList<>(List.of("--master", master, "--jars", engine().toString()));
    options.addAll(
        conf(
            "spark.executor.memory=512m",
            "spark.executor.cores=" + Math.max(1, perExecutor),
            "spark.worker.resource.gpu.amount=" + devices,
            "spark.worker.resource.gpu.discoveryScript=" + script,
            "spark.executorEnv." + RecordedGpus.RECORD + "=" + record(),
            "spark.scheduler.maxRegisteredResourcesWaitingTime=180s"));
    if (perExecutor > 0) {
      options.addAll(
          conf(
              "spark.executor.resource.gpu.amount=" + perExecutor,
              "spark.cores.max=2", // which all are waited for
              "spark.scheduler.minRegisteredResourcesRatio=1"));
    }
    return options;
  }

  /** The engine in a jar, as the real ones come. */
  private Path engine() throws IOException {
    Path jar = temp.resolve("engine.jar");
    String name = RecordedGpus.class.getName().replace('.', '/') + ".class";
    try (OutputStream out = Files.newOutputStream(jar);
        JarOutputStream entries = new JarOutputStream(out);
        InputStream in = RecordedGpus.class.getClassLoader().getResourceAsStream(name)) {
      entries.putNextEntry(new JarEntry(name));
      in.transferTo(entries);
      entries.putNextEntry(new JarEntry("META-INF/services/" + GpuEngine.class.getName()));
      entries.write(RecordedGpus.class.getName().getBytes(StandardCharsets.UTF_8));
    }
    return jar;
  }
}
