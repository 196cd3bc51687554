package dev.kindling.model.load;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.bert.BertConfig;
import dev.kindling.model.bert.BertPlan;
import dev.kindling.model.gpt2.Gpt2Config;
import dev.kindling.model.gpt2.Gpt2Plan;
import dev.kindling.model.llama.LlamaConfig;
import dev.kindling.model.llama.LlamaPlan;
import java.util.Map;
import java.util.TreeMap;

/** The model families, by {@code model_type} of config.json. */
public final class Families {
  /** Reads a family's configuration. */
  private interface Family {
    ModelPlan plan(JsonNode config, int classes);
  }

  private static final Map<String, Family> BY_TYPE =
      new TreeMap<>(
          Map.of(
              "bert", (config, classes) -> new BertPlan(BertConfig.bert(config), classes),
              "roberta", (config, classes) -> new BertPlan(BertConfig.roberta(config), classes),
              "llama", (config, classes) -> new LlamaPlan(LlamaConfig.of(config)),
              "mistral", (config, classes) -> new LlamaPlan(LlamaConfig.of(config)),
              "qwen2", (config, classes) -> new LlamaPlan(LlamaConfig.of(config)),
              "gpt2", (config, classes) -> new Gpt2Plan(Gpt2Config.of(config))));

  private Families() {}

  /**
   * Plans the model that a config.json describes.
   *
   * @param classes outputs of the classification head, at least 1; no matter to a decoder
   * @throws InvalidInput if the family or a variant of it is not supported
   */
  public static ModelPlan plan(JsonNode config, int classes) {
    if (config.path("quantization_config").isObject()) {
      throw new InvalidInput(
          "config.json",
          "quantization_config is "
              + config.at("/quantization_config/quant_method").asText("there"),
          "quantised checkpoints are not supported: give the base before its quantisation");
    }
    String type = config.path("model_type").asText("");
    Family family = BY_TYPE.get(type);
    if (family == null) {
      throw new InvalidInput(
          "config.json",
          "model_type '" + type + "' is not supported",
          "supported are " + String.join(", ", BY_TYPE.keySet()));
    }
    return family.plan(config, classes);
  }
}
