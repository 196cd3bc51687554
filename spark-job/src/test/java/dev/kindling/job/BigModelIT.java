package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Llamas of random weights take the memory that was planned, and come to executors with less. */
class BigModelIT {
  private static final String CONFIG =
      """
      {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000,
       "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 24,
       "num_attention_heads": 16, "num_key_value_heads": 16, "max_position_embeddings": 2048,
       "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": true}
      """;

  private static final double HEAP = 1L << 30;

  @TempDir Path temp;

  /**
   * With the second compiler: hundreds of millions of weights go through Java's loops. Without
   * classes from an archive, which would count as the process' own memory.
   */
  private static Launched optimised(String... arguments) {
    return Launched.kindling(List.of(arguments), Map.of("JDK_JAVA_OPTIONS", ""));
  }

  @Test
  void train_350MillionParametersInBf16_fitsThePlan() throws IOException {
    fitsThePlan("as-stored", "block");
  }

  /** Of minutes, with {@code -Pscaling}. */
  @Test
  @Tag("scaling")
  void train_350MillionParametersInFp32_fitsThePlan() throws IOException {
    fitsThePlan("fp32", "none");
  }

  private void fitsThePlan(String storage, String recompute) throws IOException {
    Path base = Files.createDirectory(temp.resolve("base"));
    Files.writeString(base.resolve("config.json"), CONFIG);
    RandomWeights.write(base, 1);
    Path data = temp.resolve("rows.jsonl");
    Random random = new Random(2);
    try (BufferedWriter out = Files.newBufferedWriter(data)) {
      for (int i = 0; i < 4; i++) {
        out.write("{\"input_ids\":" + random.ints(128, 0, 32_000).boxed().toList() + "}\n");
      }
    }
    Path output = temp.resolve("out");
    Launched run =
        optimised(
            "--master",
            "local[1]",
            "--driver-memory",
            "1g",
            "train",
            "base.path=" + base,
            "base.storage=" + storage,
            "data.train=" + data,
            "train.steps=2",
            "train.global-batch-size=2",
            "train.recompute=" + recompute,
            "output=" + output);
    assertThat(run.code()).as(run.stderr()).isZero();
    JsonNode memory =
        new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile()).get("memory");
    double planned = memory.at("/planned/executor").asDouble();
    assertThat(memory.at("/planned/base").asDouble())
        .isBetween(
            341e6 * (storage.equals("fp32") ? 4 : 2), 342e6 * (storage.equals("fp32") ? 4 : 2));
    assertThat(memory.at("/measured/executor").asDouble())
        .isBetween(0.85 * planned, 1.15 * planned);
    // The operating system's view: tensors, the JVM's heap and its own few hundred megabytes.
    assertThat(memory.at("/measured/resident").asDouble())
        .isBetween(planned, 1.15 * planned + HEAP + 3e8);
  }

  @Test
  void train_baseLargerThanAnyHeap_isLoadedOnceByEachExecutor() throws IOException {
    isLoadedOnce("broadcast");
  }

  @Test
  @Tag("scaling")
  void train_baseLargerThanAnyHeapInStorage_isLoadedOnceByEachExecutor() throws IOException {
    isLoadedOnce("storage");
  }

  /**
   * 276 million weights in bf16, 551 MB, to two executors of two tasks and 512 MiB of heap each.
   */
  private void isLoadedOnce(String delivery) throws IOException {
    Path base = Files.createDirectory(temp.resolve("base"));
    Files.writeString(
        base.resolve("config.json"),
        CONFIG
            .replace("1024", "1536")
            .replace("2816", "4096")
            .replace("\"num_hidden_layers\": 24", "\"num_hidden_layers\": 8"));
    RandomWeights.write(base, 1);
    assertThat(Files.size(base.resolve("model.safetensors"))).isGreaterThan(550_000_000L);
    Path data = temp.resolve("rows.jsonl");
    Files.writeString(data, "{\"input_ids\":[1,2,3,4,5,6,7,8]}\n".repeat(4));
    Path output = temp.resolve("out");
    Launched run =
        optimised(
            "--master",
            "local-cluster[2,2,512]",
            "--driver-memory",
            "2g",
            "--conf",
            "spark.executor.memory=512m",
            "--conf",
            "spark.scheduler.minRegisteredResourcesRatio=1",
            "--conf",
            "spark.scheduler.maxRegisteredResourcesWaitingTime=180s",
            "train",
            "base.path=" + base,
            "base.storage=as-stored",
            "base.delivery=" + delivery,
            "data.train=" + data,
            "train.steps=2",
            "train.global-batch-size=4",
            "train.micro-batch-size=1",
            "output=" + output);
    assertThat(run.code()).as(run.stderr()).isZero();
    JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
    assertThat(manifest.at("/memory/planned/base").asDouble()).isGreaterThan(5.5e8);
    assertThat(manifest.get("executors")).hasSize(2);
    for (JsonNode executor : manifest.get("executors")) {
      assertThat(executor.get("weightLoads").asInt()).isEqualTo(1);
    }
    // The operating system's view: base, heap, the JVM's own and two tasks' scratch.
    assertThat(manifest.at("/memory/measured/resident").asDouble())
        .isBetween(5.5e8, manifest.at("/memory/planned/executor").asDouble() + HEAP / 2 + 5e8);
  }
}
