package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import dev.kindling.tensor.onednn.InstructionSet;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** EXPLAIN before a run and after it, and plans that were measured. */
class ExplainTest {
  @TempDir Path temp;

  private static List<String> explain(List<String> train) {
    List<String> explain = new ArrayList<>(train);
    explain.set(0, "explain");
    return explain;
  }

  @ParameterizedTest
  @ValueSource(strings = {"bert", "llama-gqa", "gpt2"})
  void explain_beforeTraining_tellsAllAndWritesNothing(String name) {
    GoldenFolder golden = GoldenFolder.copy(name, temp);
    Path output = temp.resolve("out");
    InProcess run = kindling(2, explain(golden.train(output, "train.micro-batch-size=8")));
    assertThat(run.code()).as(run.stdout()).isZero();
    JsonNode told = run.json();
    assertThat(told.at("/run/steps").asInt()).isEqualTo(golden.expectedLosses().size());
    assertThat(told.at("/run/tokensPerStep").asDouble()).isPositive();
    assertThat(told.at("/work/flops").asDouble()).isPositive();
    for (String part : List.of("base", "activations", "scratch", "adapters")) {
      assertThat(told.at("/memory/" + part).asLong()).as(part).isPositive();
    }
    assertThat(told.at("/optimizerBytes").asLong()).isPositive();
    assertThat(told.at("/method/method").asText()).isEqualTo("lora");
    JsonNode axes = told.at("/method/axes");
    assertThat(axes).hasSize(8);
    assertThat(axes.at("/initialiser/adapter.init-from").asText())
        .isEqualTo(golden.path("adapter"));
    assertThat(axes.at("/ranks/adapter.r").asInt()).isEqualTo(4); // the folder's
    JsonNode seconds = told.get("seconds");
    assertThat(seconds.get("step").asDouble())
        .isEqualTo(seconds.get("compute").asDouble() + seconds.get("exchange").asDouble());
    JsonNode layers = told.at("/plans/layers");
    assertThat(layers).isNotEmpty();
    for (JsonNode layer : layers) {
      JsonNode fewest = layer.get("candidates").get(0);
      assertThat(layer.get("plan").asText()).isEqualTo(fewest.get("plan").asText());
      assertThat(layer.get("why").asText()).startsWith("the fewest operations");
      assertThat(fewest.get("predictedSeconds").asDouble()).isPositive();
      assertThat(fewest.get("measuredSeconds").isNull()).isTrue();
    }
    List<String> joined = new ArrayList<>();
    told.at("/plans/joined").forEach(one -> joined.add(one.get("words").asText()));
    assertThat(joined)
        .containsExactlyElementsOf(
            switch (name) {
              case "bert" -> List.of("query, key, value", "key, value");
              case "llama-gqa" -> List.of("q_proj, k_proj, v_proj", "gate_proj, up_proj");
              default -> List.of(); // files hold query, key and value as one already
            });
    assertThat(told.at("/submit/local").asText()).isEqualTo("--driver-memory 1024m");
    assertThat(told.at("/submit/cluster").asText()).contains("spark.executor.memory=1024m");
    assertThat(told.has("comparison")).isFalse();
    assertThat(output).doesNotExist();
  }

  /**
   * Of a half that does not learn nothing is said to be sent up, and nothing is; of a host's tasks
   * one sum.
   */
  @ParameterizedTest
  @CsvSource({"both,auto", "b,host"})
  void explain_ofAResult_setsItBesideWhatWasMeasured(String halves, String sums) {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    Path output = temp.resolve("out");
    String[] settings = {
      "train.micro-batch-size=2", "adapter.train=" + halves, "sync.sums=" + sums
    };
    InProcess trained = kindling(2, golden.train(output, settings));
    assertThat(trained.code()).as(trained.stdout()).isZero();
    InProcess run = kindling("explain", "output=" + output);
    assertThat(run.code()).as(run.stdout()).isZero();
    JsonNode rows = run.json().get("comparison");
    assertThat(ratio(rows, "steps")).isEqualTo(1);
    assertThat(ratio(rows, "tokens of a step")).isCloseTo(1, offset(0.25));
    assertThat(ratio(rows, "sent down in a step")).isEqualTo(1);
    assertThat(ratio(rows, "sent up in a step")).isEqualTo(1);
    // The JVM is shared with other tests, whose primitives it still holds: BigModelIT has the
    // bound.
    assertThat(ratio(rows, "tensors of the fullest executor")).isPositive();
    assertThat(ratio(rows, "a step")).isPositive();
  }

  private static double ratio(JsonNode rows, String quantity) {
    for (JsonNode row : rows) {
      if (row.get("quantity").asText().equals(quantity)) {
        return row.get("ratio").asDouble();
      }
    }
    throw new AssertionError("no row " + quantity + " in " + rows);
  }

  @Test
  void explain_inBf16_mergesOnlyIfFixed() {
    assumeTrue(InstructionSet.multipliesBf16());
    GoldenFolder golden = GoldenFolder.copy("llama-gqa", temp);
    List<String> arguments = explain(golden.train(temp.resolve("out"), "train.precision=bf16"));
    InProcess run = kindling(2, arguments);
    assertThat(run.code()).as(run.stdout()).isZero();
    for (JsonNode layer : run.json().at("/plans/layers")) {
      assertThat(layer.get("why").asText()).contains("in bf16 and tf32 nothing is merged");
      layer
          .get("candidates")
          .forEach(one -> assertThat(one.get("plan").asText()).matches("f[13]k?b[1236]"));
    }
    arguments.add("plan.chooser=fixed:f2b5");
    for (JsonNode layer : kindling(2, arguments).json().at("/plans/layers")) {
      assertThat(layer.get("plan").asText()).isEqualTo("f2b5");
      assertThat(layer.get("why").asText()).contains("in bf16 the merged weight is rounded");
    }
  }

  @Test
  void explain_ofAFolderWithoutAResult_saysWhatIsMissing() {
    InProcess run = kindling("explain", "output=" + temp.resolve("nowhere"));
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.messages()).contains("holds no config.resolved.conf of a finished run");
  }

  @Test
  void measured_timesOnAnExecutor_pinsTheFastest_andTrainsTheSame() throws IOException {
    GoldenFolder golden = GoldenFolder.copy("llama-gqa", temp);
    Path output = temp.resolve("out");
    InProcess run =
        kindling(2, golden.train(output, "train.micro-batch-size=2", "plan.chooser=measured"));
    assertThat(run.code()).as(run.stdout()).isZero();
    List<Double> losses = GoldenFolder.losses(output);
    for (int step = 0; step < losses.size(); step++) {
      assertThat(losses.get(step)).isCloseTo(golden.expectedLosses().get(step), offset(1e-4));
    }
    JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
    assertThat(manifest.get("plans")).isNotEmpty();
    for (JsonNode layer : manifest.get("plans")) {
      double fastest = Double.POSITIVE_INFINITY;
      double chosen = 0;
      for (JsonNode one : layer.get("candidates")) {
        double seconds = one.get("measuredSeconds").asDouble();
        assertThat(seconds).isPositive();
        fastest = Math.min(fastest, seconds);
        chosen = one.get("plan").equals(layer.get("plan")) ? seconds : chosen;
      }
      assertThat(chosen).isEqualTo(fastest);
      assertThat(layer.get("why").asText()).startsWith("the fastest when measured");
      NavigableMap<Long, String> pinned = pinned(manifest, layer); // of smaller micro-batches too
      assertThat(pinned).hasSize(4);
      assertThat(pinned.lastKey()).isEqualTo(layer.at("/shape/tokens").asLong());
      assertThat(pinned.lastEntry().getValue()).isEqualTo(layer.get("plan").asText());
    }
  }

  /** Plans that the run pinned for a layer, by tokens. */
  private static NavigableMap<Long, String> pinned(JsonNode manifest, JsonNode layer) {
    NavigableMap<Long, String> plans = new TreeMap<>();
    for (JsonNode one : manifest.get("pinned")) {
      JsonNode shape = one.get("shape");
      if (shape.get("in").equals(layer.at("/shape/in"))
          && shape.get("out").equals(layer.at("/shape/out"))) {
        plans.put(shape.get("tokens").asLong(), one.get("plan").asText());
      }
    }
    return plans;
  }

  /** Eight slots or a thousand: sizes are for any cluster of executors with so many tasks each. */
  @Test
  void sizes_anyCluster_areWhatTheHeapPlanFindsEnough() {
    GoldenFolder golden = GoldenFolder.copy("bert", temp);
    List<String> arguments = explain(golden.train(temp.resolve("out"), "train.micro-batch-size=1"));
    arguments.add("--sizes");
    InProcess one = kindling(1, arguments);
    assertThat(one.code()).as(one.stdout()).isZero();
    assertThat(one.json().get("cluster").asText()).contains("spark.driver.memoryOverhead=384m");
    assertThat(temp.resolve("out")).doesNotExist();
    arguments.add("sync.mode=averaging");
    InProcess unknown = kindling(1, arguments);
    assertThat(unknown.code()).isEqualTo(2);
    assertThat(unknown.messages()).contains("sync.workers is missing");
    arguments.add("sync.workers=2");
    assertThat(kindling(1, arguments).json().get("cluster").asText())
        .contains("spark.driver.memoryOverhead=385m");
  }
}
