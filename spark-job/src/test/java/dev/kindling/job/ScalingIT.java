package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What more trainables, executors and weights cost: {@code mvn verify -Pscaling}, on an idle
 * machine. Each row is a line of this test's output; bench/results/scaling.md has them with the
 * model they are held against.
 */
@Tag("scaling")
class ScalingIT {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path TINY = Path.of("../examples/tiny-llama").toAbsolutePath().normalize();

  /** Its seven projections have so many trainables in four blocks for each rank. */
  private static final int PER_RANK = 18_688;

  @TempDir Path temp;

  private static void row(String what, ObjectNode row) {
    System.err.println("scaling: " + row.put("what", what));
  }

  private Path rows(int count, int tokens) throws Exception {
    Path data = temp.resolve("rows.jsonl");
    Files.writeString(data, ("{\"input_ids\":" + List.of(ids(tokens)) + "}\n").repeat(count));
    return data;
  }

  private static Object[] ids(int tokens) {
    Object[] ids = new Object[tokens];
    for (int i = 0; i < tokens; i++) {
      ids[i] = 1 + i % 1000;
    }
    return ids;
  }

  private static Launched kindling(int executors, int heap, String... job) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--master",
                "local-cluster[" + executors + ",1," + heap + "]",
                "--driver-memory",
                "4g",
                "--conf",
                "spark.executor.memory=" + heap + "m",
                "--conf",
                "spark.scheduler.minRegisteredResourcesRatio=1"));
    arguments.addAll(List.of(job));
    Launched run = Launched.kindling(arguments.toArray(new String[0]));
    assertThat(run.code()).as(run.stderr()).isZero();
    return run;
  }

  /** Broadcast, stage, sums and their merge, with nothing computed: explain's own probe. */
  @ParameterizedTest
  @CsvSource({
    "2,1", "2,2", "2,4", "2,8", "54,1", "54,2", "54,4", "54,8", "535,1", "535,2", "535,4", "535,8"
  })
  void exchange_anyTrainablesAndExecutors(int rank, int executors) throws Exception {
    boolean few = rank == 2;
    Launched run =
        kindling(
            executors,
            1024,
            "explain",
            "base.path=" + TINY,
            "data.train=" + rows(16, 8),
            "data.format=tokens",
            "adapter.r=" + rank,
            "adapter.target-modules="
                + (few ? "model\\.layers\\.0\\.self_attn\\.q_proj" : "all-linear"),
            "train.steps=1",
            "train.global-batch-size=8",
            "train.micro-batch-size=1");
    JsonNode said = run.json();
    long trainables = few ? 1024 : (long) rank * PER_RANK;
    ObjectNode row = JSON.createObjectNode();
    row.put("executors", executors).put("trainables", trainables);
    row.put("seconds", said.at("/seconds/exchange").asDouble());
    assertThat(row.get("seconds").asDouble()).isPositive();
    row("exchange", row);
  }

  /** From the blow to the next committed step, on a standalone cluster of two. */
  @Test
  void kill_untilTheNextCommittedStep() throws Exception {
    GoldenFolder golden = GoldenFolder.copy("llama-gqa", temp);
    try (SparkCluster cluster =
        new SparkCluster(2, Files.createDirectory(temp.resolve("cluster")))) {
      List<String> arguments = new ArrayList<>(cluster.options("512m"));
      Path output = temp.resolve("out");
      arguments.addAll(golden.train(output, "train.steps=2000", "train.micro-batch-size=1"));
      try (Running run = Running.kindling(arguments)) {
        run.awaitSteps(output, 20);
        for (int executors : new int[] {1, 1, 1, 2, 2, 2}) {
          long start = System.nanoTime();
          assertThat(cluster.killExecutors(executors)).isEqualTo(executors);
          assertThat(run.goesOn(output, 2)).isTrue(); // one may have been on its way
          ObjectNode row = JSON.createObjectNode().put("killed", executors);
          row("kill", row.put("seconds", (System.nanoTime() - start) / 1e9));
          assertThat(run.goesOn(output, 60)).isTrue(); // until both are back
        }
      }
    }
  }

  /** Frozen weights to two executors, by either way. */
  @ParameterizedTest
  @CsvSource({"6,broadcast", "12,broadcast", "26,broadcast", "6,storage", "26,storage"})
  void delivery_anySize(int layers, String delivery) throws Exception {
    Path base = Files.createDirectory(temp.resolve("base"));
    Files.writeString(
        base.resolve("config.json"),
        """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000,
         "hidden_size": 1536, "intermediate_size": 4096, "num_hidden_layers": %d,
         "num_attention_heads": 16, "num_key_value_heads": 16, "max_position_embeddings": 2048,
         "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": true}
        """
            .formatted(layers));
    RandomWeights.write(base, 1);
    Path output = temp.resolve("out");
    Launched run =
        kindling(
            2,
            1024,
            "train",
            "base.path=" + base,
            "base.storage=as-stored",
            "base.delivery=" + delivery,
            "data.train=" + rows(4, 8),
            "data.format=tokens",
            "train.steps=1",
            "train.global-batch-size=2",
            "train.micro-batch-size=1",
            "output=" + output);
    JsonNode manifest = JSON.readTree(output.resolve("_SUCCESS").toFile());
    ObjectNode row = JSON.createObjectNode().put("delivery", delivery);
    row.put("baseBytes", Files.size(base.resolve("model.safetensors")));
    row.put("residentBytes", manifest.at("/memory/measured/resident").asLong());
    row.put("nativeBytes", manifest.at("/memory/measured/executor").asLong());
    JsonNode step = JSON.readTree(Files.readAllLines(output.resolve("metrics.jsonl")).get(0));
    row.put(
        "firstStepSeconds",
        step.get("secondsCompute").asDouble() + step.get("secondsExchange").asDouble());
    assertThat(run.stderr()).contains("exchanged");
    row("delivery", row);
  }

  /** Tokens a second at one executor and at two; the machine should have a core for each. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void throughput_ofExecutors(int executors) throws Exception {
    Launched run =
        kindling(
            executors,
            1024,
            "train",
            "base.path=" + TINY,
            "data.train=" + rows(64, 128),
            "data.format=tokens",
            "train.steps=40",
            "train.global-batch-size=32",
            "output=" + temp.resolve("out"));
    ObjectNode row = JSON.createObjectNode().put("executors", executors);
    row("throughput", row.put("tokensPerSecond", run.json().get("tokensPerSecond").asDouble()));
  }
}
