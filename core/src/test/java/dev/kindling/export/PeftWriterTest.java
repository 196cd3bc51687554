package dev.kindling.export;

import static dev.kindling.export.PeftFolder.CLASSES;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LayerPatterns;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.Golden;
import dev.kindling.model.Model;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is written, and that reading it gives the same adapter. */
class PeftWriterTest {
  @TempDir private Path path;

  private PeftFolder write(List<LinearModule> modules, AdapterSettings settings) {
    AdapterLayout layout = AdapterLayout.of(modules, settings);
    return new PeftFolder(path).write(modules, layout, random(layout));
  }

  private static float[] random(AdapterLayout layout) {
    float[] vector = new float[layout.elements()];
    Random random = new Random(71);
    for (int i = 0; i < vector.length; i++) {
      vector[i] = (float) (0.1 * random.nextGaussian());
    }
    return vector;
  }

  private static AdapterSettings settings(TargetModules targets, String... saved) {
    return new AdapterSettings(3, 4.5, 0.25, targets, List.of(saved));
  }

  private static TargetModules names(String... names) {
    return new TargetModules.Names(List.of(names));
  }

  @ParameterizedTest
  @ValueSource(strings = {"bert", "roberta"})
  void open_writtenAdapter_givesTheSameValuesAndLogits(String name) {
    Golden golden = new Golden(name);
    AdapterLayout layout = golden.layout;
    float[] vector = random(layout);
    vector[0] = -0f;
    vector[1] = Float.MIN_VALUE;
    PeftAdapter read = new PeftFolder(path).write(golden.plan.linears(), layout, vector).open();
    AdapterLayout again = read.layout(golden.plan.linears(), 0);
    assertThat(again.parameters()).hasSameSizeAs(layout.parameters());
    assertThat(read.values(again)).isEqualTo(vector);
    assertThat(read.notes().labels()).contains(CLASSES);
    assertThat(read.outputs(layout.parameters().get(layout.parameters().size() - 1).module()))
        .contains(3);
    assertThat(logits(golden, again, read.values(again))).isEqualTo(logits(golden, layout, vector));
  }

  private static float[] logits(Golden golden, AdapterLayout layout, float[] vector) {
    Backend backend = Nd4jBackend.open(1);
    try (Model model = golden.plan.build(backend, golden.weights(backend), layout, false)) {
      model.load(vector);
      model.evaluate(TokenBatch.of(golden.rows, golden.plan.rules()));
      return model.logits();
    }
  }

  /** The golden adapters were written by another program, in the spelling that PEFT documents. */
  @ParameterizedTest
  @ValueSource(strings = {"bert", "roberta", "llama-gqa", "gpt2"})
  void write_goldenAdapter_hasPeftsKeysAndShapes(String name) {
    Golden golden = new Golden(name);
    new PeftFolder(path)
        .write(golden.plan.linears(), golden.layout, golden.adapter.values(golden.layout));
    assertThat(shapes(path)).isEqualTo(shapes(golden.folder.resolve("adapter")));
  }

  /**
   * PEFT stores an embedding's pair as [r, rows] and [features, r], without ".weight", and a Conv1D
   * trained in full as [in, out]. What is read back is what was written.
   */
  @Test
  void write_tablesHeadAndConv1d_hasPeftsLayouts() {
    Golden golden = new Golden("gpt2");
    List<LinearModule> modules = golden.plan.linears();
    AdapterLayout layout =
        AdapterLayout.of(
            modules,
            new AdapterSettings(
                3, 6, 0, names("wte", "lm_head", "c_attn"), List.of("c_fc", "wpe")));
    float[] vector = random(layout);
    PeftFolder folder = new PeftFolder(path).write(modules, layout, vector);
    Map<String, String> shapes = shapes(path);
    JsonNode config = golden.base.config();
    int d = config.get("n_embd").asInt();
    int v = config.get("vocab_size").asInt();
    String at = "base_model.model.transformer.";
    assertThat(shapes)
        .containsEntry(at + "wte.lora_embedding_A", "F32[3, " + v + "]")
        .containsEntry(at + "wte.lora_embedding_B", "F32[" + d + ", 3]")
        .containsEntry(
            at + "wpe.weight", "F32[" + config.get("n_positions").asInt() + ", " + d + "]")
        .containsEntry(at + "h.0.mlp.c_fc.weight", "F32[" + d + ", " + 4 * d + "]")
        .containsEntry(at + "h.0.mlp.c_fc.bias", "F32[" + 4 * d + "]")
        .containsEntry(at + "h.0.attn.c_attn.lora_A.weight", "F32[3, " + d + "]")
        .containsEntry("base_model.model.lm_head.lora_B.weight", "F32[" + v + ", 3]");
    int stored = layout.find("transformer.wte", Role.EMBEDDING_A).orElseThrow().offset();
    float[] a =
        Safetensors.open(path.resolve("adapter_model.safetensors"))
            .get(at + "wte.lora_embedding_A")
            .floats();
    assertThat(a[2 * v + 5]).isEqualTo(vector[stored + 5 * 3 + 2]); // row 2 of token 5
    PeftAdapter read = folder.open();
    assertThat(read.values(read.layout(modules, 0))).isEqualTo(vector);
  }

  /** Layers of other ranks and alphas, and rows with lengths: as PEFT names and matches them. */
  @Test
  void write_patternsAndMagnitudes_areReadAsTheyWereMade() {
    List<LinearModule> modules = new Golden("llama-gqa").plan.linears();
    LayerPatterns patterns =
        new LayerPatterns(
            Map.of("layers.0.self_attn.q_proj", 5, "v_pro.", 1), Map.of("q_proj", 3.5));
    AdapterLayout layout =
        AdapterLayout.of(
            modules,
            new AdapterSettings(
                2,
                8,
                Scaling.STANDARD,
                patterns,
                true,
                Sampling.NONE,
                0,
                names("q_proj", "k_proj", "v_proj"),
                List.of()));
    float[] vector = random(layout);
    PeftFolder folder = new PeftFolder(path).write(modules, layout, vector);
    JsonNode config = folder.config();
    assertThat(config.get("use_dora").asBoolean()).isTrue();
    assertThat(config.at("/rank_pattern/v_pro.").asInt()).isEqualTo(1);
    assertThat(config.at("/alpha_pattern/q_proj").asDouble()).isEqualTo(3.5);
    String at = "base_model.model.model.layers.";
    assertThat(shapes(path))
        .hasEntrySatisfying(
            at + "0.self_attn.q_proj.lora_A.weight", s -> assertThat(s).startsWith("F32[5, "))
        .hasEntrySatisfying(
            at + "1.self_attn.q_proj.lora_A.weight", s -> assertThat(s).startsWith("F32[2, "))
        .hasEntrySatisfying(
            at + "1.self_attn.v_proj.lora_A.weight", s -> assertThat(s).startsWith("F32[1, "))
        .containsKey(at + "1.self_attn.v_proj.lora_magnitude_vector");
    PeftAdapter read = folder.open();
    AdapterLayout again = read.layout(modules, 0);
    assertThat(read.values(again)).isEqualTo(vector);
    assertThat(again.scale("model.layers.0.self_attn.q_proj")).isEqualTo(3.5 / 5);
    assertThat(again.scale("model.layers.1.self_attn.q_proj")).isEqualTo(3.5 / 2);
    assertThat(again.scale("model.layers.1.self_attn.v_proj")).isEqualTo(8);
    assertThat(again.scale("model.layers.1.self_attn.k_proj")).isEqualTo(4);
  }

  private static Map<String, String> shapes(Path folder) {
    Map<String, String> shapes = new TreeMap<>();
    Safetensors.open(folder.resolve("adapter_model.safetensors"))
        .forEach((key, t) -> shapes.put(key, t.dtype() + Arrays.toString(t.shape())));
    return shapes;
  }

  @Test
  void config_plainSettings_areSpelledAsPeftReadsThem() {
    Golden golden = new Golden("bert");
    PeftFolder folder =
        write(golden.plan.linears(), settings(names("query", "value"), "classifier"));
    JsonNode config = folder.config();
    assertThat(config.get("peft_type").asText()).isEqualTo("LORA");
    assertThat(config.get("task_type").asText()).isEqualTo("SEQ_CLS");
    assertThat(config.get("base_model_name_or_path").asText()).isEqualTo("some/base");
    assertThat(config.get("r").asInt()).isEqualTo(3);
    assertThat(config.get("lora_alpha").asDouble()).isEqualTo(4.5);
    assertThat(config.get("lora_dropout").asDouble()).isEqualTo(0.25);
    assertThat(config.get("target_modules")).hasToString("[\"query\",\"value\"]");
    assertThat(config.get("modules_to_save")).hasToString("[\"classifier\"]");
    assertThat(config.get("bias").asText()).isEqualTo("none");
    assertThat(folder.open().settings().scale()).isEqualTo(1.5);
  }

  /** PEFT declares lora_alpha an int: 16 must not become 16.0. */
  @Test
  void config_wholeAlpha_isWrittenAsAnInteger() {
    Golden golden = new Golden("bert");
    PeftFolder folder =
        write(
            golden.plan.linears(),
            new AdapterSettings(8, 16, 0, names("query"), List.of("classifier")));
    assertThat(folder.config().get("lora_alpha")).hasToString("16");
  }

  /** The shortest names that match the adapted layers, and no other by accident. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "Blocks; classifier; intermediate.dense key output.dense query value",
        "AllLinear; classifier; dense key query value",
        "AllLinear; classifier pooler; intermediate.dense key output.dense query value",
        "intermediate.dense; classifier; intermediate.dense",
        "attention.output.dense; ''; attention.output.dense",
        "output.dense; ''; output.dense",
        "pooler.dense; ''; pooler.dense",
        "layer.1.attention.self.query; ''; 1.attention.self.query",
        "None; classifier; ''"
      })
  void config_targetModules_matchAdaptedLayersOnly(String targets, String saved, String expected) {
    Golden golden = new Golden("bert");
    TargetModules declared =
        switch (targets) {
          case "Blocks" -> new TargetModules.Blocks();
          case "AllLinear" -> new TargetModules.AllLinear();
          case "None" -> new TargetModules.None();
          default -> names(targets);
        };
    String[] whole = saved.isEmpty() ? new String[0] : saved.split(" ");
    PeftFolder folder = write(golden.plan.linears(), settings(declared, whole));
    assertThat(String.join(" ", strings(folder.config().get("target_modules"))))
        .isEqualTo(expected);

    AdapterLayout written = AdapterLayout.of(golden.plan.linears(), settings(declared, whole));
    PeftAdapter read = folder.open();
    AdapterLayout again = read.layout(golden.plan.linears(), 0);
    assertThat(again.parameters().stream().map(p -> p.peftName()).toList())
        .isEqualTo(written.parameters().stream().map(p -> p.peftName()).toList());
    assertThat(read.values(again)).isEqualTo(random(written));
  }

  private static List<String> strings(JsonNode array) {
    List<String> all = new ArrayList<>();
    array.forEach(s -> all.add(s.asText()));
    return all;
  }

  @Test
  void config_regex_isWrittenAsGiven() {
    Golden golden = new Golden("bert");
    TargetModules regex = new TargetModules.Regex(Pattern.compile(".*\\.(query|value)"));
    PeftFolder folder = write(golden.plan.linears(), settings(regex, "classifier"));
    assertThat(folder.config().get("target_modules").asText()).isEqualTo(".*\\.(query|value)");
    assertThat(folder.open().layout(golden.plan.linears(), 0).parameters()).hasSize(10);
  }
}
