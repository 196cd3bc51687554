package dev.kindling.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.model.Golden;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What PEFT may have saved: read where it means the same, refused by name where it does not. */
class PeftAdapterTest {
  private static final String QUERY =
      "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight";
  private static final String HEAD = "base_model.model.classifier.weight";

  private final Golden golden = new Golden("bert");

  @TempDir private Path path;
  private PeftFolder folder;

  @BeforeEach
  void copyGolden() throws IOException {
    for (String file : Set.of("adapter_config.json", "adapter_model.safetensors")) {
      Files.copy(golden.folder.resolve("adapter").resolve(file), path.resolve(file));
    }
    folder = new PeftFolder(path);
  }

  private float[] values() {
    PeftAdapter adapter = folder.open();
    return adapter.values(adapter.layout(golden.plan.linears(), 0));
  }

  private static void refused(ThrowingCallable call, String... parts) {
    assertThatThrownBy(call).isInstanceOf(InvalidInput.class).hasMessageContainingAll(parts);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "{\"bias\": \"all\"}; bias = all",
        "{\"bias\": \"lora_only\"}; bias = lora_only",
        "{\"lora_bias\": true}; lora_bias = true",
        "{\"peft_type\": \"IA3\"}; peft_type \"IA3\"",
        "{\"layers_to_transform\": [1]}; layers_to_transform = [1]",
        "{\"layers_to_transform\": 1}; layers_to_transform = 1",
        "{\"layer_replication\": [[0, 1]]}; layer_replication = [[0,1]]",
        "{\"exclude_modules\": [\"key\"]}; exclude_modules = [\"key\"]",
        "{\"trainable_token_indices\": [3]}; trainable_token_indices = [3]",
        "{\"init_lora_weights\": \"pissa\"}; init_lora_weights = pissa",
        "{\"init_lora_weights\": \"olora\"}; init_lora_weights = olora",
        "{\"init_lora_weights\": \"loftq\"}; init_lora_weights = loftq"
      })
  void open_flagThatChangesTheFunction_isRefusedByName(String flags, String named)
      throws IOException {
    ObjectNode extra = (ObjectNode) new ObjectMapper().readTree(flags);
    folder.configure(config -> config.setAll(extra));
    refused(folder::open, path.resolve("adapter_config.json").toString(), named, "plain LoRA");
  }

  /** PEFT saves the base's table beside an adapter on it: a copy is nothing new, another is. */
  @Test
  void requireCopiesOf_tableBesideAnAdapter_mustBeTheBases() {
    Golden golden = new Golden("llama3-rope-tied");
    AdapterLayout layout = golden.layout;
    PeftFolder folder =
        new PeftFolder(path).write(golden.plan.linears(), layout, golden.adapter.values(layout));
    StoredTensor table = golden.base.find("model.embed_tokens.weight").orElseThrow();
    String key = "base_model.model.model.embed_tokens.base_layer.weight";
    float[] values = table.floats();
    folder.tensors(t -> t.put(key, new Safetensors.Values(values.clone(), table.shape())));
    PeftAdapter same = folder.open();
    same.requireCopiesOf(m -> golden.base.find(m + ".weight"));
    assertThat(same.values(layout)).isEqualTo(golden.adapter.values(layout));

    values[3] += 1;
    folder.tensors(t -> t.put(key, new Safetensors.Values(values, table.shape())));
    assertThatThrownBy(() -> folder.open().requireCopiesOf(m -> golden.base.find(m + ".weight")))
        .hasMessageContainingAll("embed_tokens.base_layer.weight", "differs", "resized");
  }

  @Test
  void open_severalFlags_areRefusedAllAtOnce() {
    folder.configure(
        config -> config.put("lora_bias", true).put("bias", "all").put("peft_type", "LOHA"));
    refused(folder::open, "bias = all, lora_bias = true, peft_type \"LOHA\"");
  }

  /** As current PEFT versions write them, whether used or not. */
  @Test
  void open_flagsAtTheirDefaults_areAccepted() throws IOException {
    ObjectNode defaults =
        (ObjectNode)
            new ObjectMapper()
                .readTree(
                    """
                    {"alpha_pattern": {}, "auto_mapping": null, "corda_config": null,
                     "eva_config": null, "exclude_modules": null, "init_lora_weights": true,
                     "layer_replication": null, "layers_pattern": null, "loftq_config": {},
                     "layers_to_transform": null, "lora_bias": false, "megatron_config": null,
                     "megatron_core": "megatron.core", "rank_pattern": {}, "revision": null,
                     "target_parameters": null, "trainable_token_indices": null,
                     "use_qalora": false, "qalora_group_size": 16}
                    """);
    folder.configure(config -> config.setAll(defaults));
    assertThat(values()).isEqualTo(golden.adapter.values(golden.layout));
  }

  /** PEFT's SEQ_CLS lists both names that heads go by. */
  @Test
  void layout_savedNameThatTheModelLacks_isNoMatter() {
    folder.configure(config -> config.putArray("modules_to_save").add("classifier").add("score"));
    assertThat(values()).isEqualTo(golden.adapter.values(golden.layout));
    assertThat(folder.open().outputs("classifier")).contains(3);
    assertThat(folder.open().outputs("score")).isEmpty();
  }

  /** Keys of older PEFT versions, with the adapter's name and the wrapper's. */
  @ParameterizedTest
  @ValueSource(strings = {"wrapper", "name", "both"})
  void values_olderKeySpellings_areTheSame(String spelling) {
    float[] expected = golden.adapter.values(golden.layout);
    UnaryOperator<String> wrapper =
        key -> key.replace("classifier.", "classifier.modules_to_save.");
    UnaryOperator<String> name = key -> key.replaceFirst("\\.(weight|bias)$", ".default.$1");
    rename(
        switch (spelling) {
          case "wrapper" -> wrapper;
          case "name" -> name;
          default -> key -> name.apply(wrapper.apply(key));
        });
    assertThat(values()).isEqualTo(expected);
  }

  private void rename(UnaryOperator<String> spelling) {
    folder.tensors(
        tensors -> {
          var old = new TreeMap<>(tensors);
          tensors.clear();
          old.forEach((key, value) -> tensors.put(spelling.apply(key), value));
        });
  }

  @Test
  void values_missingAndExtraTensors_areNamedAtOnce() {
    folder.tensors(
        tensors -> {
          tensors.remove(HEAD);
          tensors.put("base_model.model.other.lora_A.weight", tensors.get(QUERY));
        });
    refused(
        this::values,
        "adapter_model.safetensors",
        "lacks [" + HEAD + "]",
        "besides [base_model.model.other.lora_A.weight]");
  }

  @Test
  void values_layerThatTheFileAdaptsButTheConfigDoesNot_isNamed() {
    folder.configure(config -> config.putArray("target_modules").add("key").add("value"));
    refused(this::values, "lacks [] and has besides", QUERY);
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
  void values_notFinite_areRefusedByTensor(float bad) {
    folder.tensors(tensors -> tensors.get(QUERY).data()[5] = bad);
    refused(this::values, "adapter_model.safetensors @ byte", QUERY, "NaN or infinity");
  }

  @Test
  void values_rankUnlikeTheConfigs_isRefusedWithBothShapes() {
    folder.configure(config -> config.put("r", 2));
    refused(this::values, "adapter_model.safetensors @ byte", "[4, 32]", "expected [2, 32]");
  }

  @Test
  void values_transposedTensor_isRefused() {
    folder.tensors(
        tensors -> tensors.put(QUERY, new Safetensors.Values(tensors.get(QUERY).data(), 32, 4)));
    refused(this::values, QUERY, "[32, 4]", "expected [4, 32]");
  }

  @Test
  void open_weightsMissing_isRefusedByFile() throws IOException {
    Files.delete(path.resolve("adapter_model.safetensors"));
    refused(
        folder::open,
        path.resolve("adapter_model.safetensors").toString(),
        "does not exist",
        "save the adapter as safetensors");
  }

  @Test
  void open_configOrFolderMissing_isRefusedByPath() throws IOException {
    Files.delete(path.resolve("adapter_config.json"));
    refused(folder::open, path.resolve("adapter_config.json").toString(), "does not exist");
    refused(() -> PeftAdapter.open(path.resolve("x")), "adapter.init-from", "is not a folder");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"{\"r\": 0}", "{\"lora_alpha\": 0}", "{\"lora_dropout\": 1}", "{\"r\": -3}"})
  void open_settingOutOfRange_isRefused(String setting) throws IOException {
    ObjectNode wrong = (ObjectNode) new ObjectMapper().readTree(setting);
    folder.configure(config -> config.setAll(wrong));
    refused(folder::open, "adapter_config.json", "expected r ≥ 1", "lora_dropout in [0, 1)");
  }

  @Test
  void open_targetsThatAreNone_areRefused() {
    folder.configure(config -> config.put("target_modules", 7));
    refused(folder::open, "adapter_config.json", "target_modules is 7", "list of names or one");
    folder.configure(config -> config.put("target_modules", "(query"));
    refused(folder::open, "adapter_config.json", "target_modules: ", "mend the regular expression");
  }

  @Test
  void layout_targetsOfAnotherModel_areRefused() {
    folder.configure(
        config -> {
          config.putArray("target_modules").add("q_proj");
          config.putArray("modules_to_save").add("score");
        });
    refused(
        () -> folder.open().layout(golden.plan.linears(), 0),
        "adapter_config.json",
        "match no linear layer",
        "is the adapter made for this model?");
  }

  /** PEFT adapts a pooler named "dense" too, other tools do not: the file decides. */
  @Test
  void layout_nameSharedWithThePooler_followsTheFile() {
    folder.configure(config -> config.putArray("target_modules").add("dense").add("query"));
    AdapterLayout layout = folder.open().layout(golden.plan.linears(), 0);
    assertThat(layout.parameters()).noneMatch(p -> p.module().contains("pooler"));
    folder.tensors(t -> t.put("base_model.model.bert.pooler.dense.lora_A.weight", t.get(QUERY)));
    layout = folder.open().layout(golden.plan.linears(), 0);
    assertThat(layout.parameters()).anyMatch(p -> p.module().equals("bert.pooler.dense"));
  }
}
