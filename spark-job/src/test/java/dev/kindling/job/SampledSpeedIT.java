package dev.kindling.job;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Steps of CE-LoRA beside LoRA's, in turn, on Llama shapes of the RunLoRA repository with random
 * weights: {@code mvn verify -Pboard -Dit.test=SampledSpeedIT}. Prints a row for
 * bench/results/ce-lora.md.
 */
@Tag("board")
class SampledSpeedIT {
  private static final int ROUNDS = 3;
  private static final int STEPS = 8;

  /** Steps before those that count: compilation, and the first choice. */
  private static final int WARM = 3;

  @TempDir Path temp;

  private Path base(int hidden, int feedForward, int layers) throws IOException {
    Path base = Files.createDirectory(temp.resolve("base"));
    ObjectNode config = new ObjectMapper().createObjectNode();
    config.putArray("architectures").add("LlamaForCausalLM");
    config.put("model_type", "llama").put("vocab_size", 32_000);
    config.put("hidden_size", hidden).put("intermediate_size", feedForward);
    config.put("num_hidden_layers", layers).put("num_attention_heads", 8);
    config.put("max_position_embeddings", 1024).put("rms_norm_eps", 1e-6);
    config.put("tie_word_embeddings", false);
    Files.writeString(base.resolve("config.json"), config.toString());
    RandomWeights.write(base, 1);
    return base;
  }

  private List<Double> steps(Path base, Path data, String method, int round) throws IOException {
    Path output = temp.resolve(method + round);
    Launched run =
        Launched.kindling(
            "--master",
            "local[1]",
            "train",
            "base.path=" + base,
            "data.train=" + data,
            "data.format=tokens",
            "output=" + output,
            "method=" + method,
            "adapter.r=8",
            "train.steps=" + STEPS,
            "train.global-batch-size=2",
            "train.micro-batch-size=2",
            "compute.threads=2");
    assertThat(run.code()).as(run.stderr()).isZero();
    List<Double> seconds = new ArrayList<>();
    for (String line : Files.readAllLines(output.resolve("metrics.jsonl"))) {
      JsonNode step = new ObjectMapper().readTree(line);
      if (step.get("step").asInt() > WARM) {
        seconds.add(step.get("secondsCompute").asDouble() + step.get("secondsExchange").asDouble());
      }
    }
    return seconds;
  }

  private static double median(List<Double> values) {
    Collections.sort(values);
    return values.get(values.size() / 2);
  }

  @ParameterizedTest
  @CsvSource({"llama-60m, 512, 1376, 8", "llama-130m, 768, 2048, 12"})
  void step_ofCeLora_besideLoras(String name, int hidden, int feedForward, int layers)
      throws IOException {
    Path base = base(hidden, feedForward, layers);
    Path data = temp.resolve("rows.jsonl");
    Integer[] ids = new Integer[1024];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = 1 + 7919 * i % 31_000;
    }
    Files.writeString(data, ("{\"input_ids\":" + List.of(ids) + "}\n").repeat(2 * STEPS));
    List<Double> plain = new ArrayList<>();
    List<Double> sampled = new ArrayList<>();
    for (int round = 0; round < ROUNDS; round++) {
      plain.addAll(steps(base, data, "lora", round));
      sampled.addAll(steps(base, data, "ce-lora", round));
    }
    double ratio = median(sampled) / median(plain);
    System.err.printf(
        "ce-lora: | %s | %.0f | %.0f | %.3f |%n",
        name, 1e3 * median(plain), 1e3 * median(sampled), ratio);
    assertThat(ratio).isPositive();
  }
}
