package dev.kindling.model.llama;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import dev.kindling.model.ConfigJson;

/**
 * What the engine reads of a Llama, Mistral or Qwen2 config.json.
 *
 * @param hidden d
 * @param intermediate f
 * @param layers blocks
 * @param heads query heads
 * @param kvHeads heads of keys and values; divide heads
 * @param headSize features of a head
 * @param vocabulary rows of the embedding table
 * @param positions longest sequence
 * @param epsilon of every norm
 * @param frequencies of the rotary positions, headSize / 2 of them, scaled as the config says
 * @param qkvBias whether query, key and value have a bias
 * @param outBias whether the attention's output has one
 * @param tied whether the head is the embedding table
 * @param padId token id of padding
 */
public record LlamaConfig(
    int hidden,
    int intermediate,
    int layers,
    int heads,
    int kvHeads,
    int headSize,
    int vocabulary,
    int positions,
    double epsilon,
    double[] frequencies,
    boolean qkvBias,
    boolean outBias,
    boolean tied,
    int padId) {
  /**
   * Reads a config.json.
   *
   * @throws InvalidInput naming what is missing or not supported
   */
  public static LlamaConfig of(JsonNode config) {
    ConfigJson read = new ConfigJson(config);
    read.only("hidden_act", "silu");
    read.only("mlp_bias", "false");
    read.only("partial_rotary_factor", "1.0");
    boolean qwen = config.path("model_type").asText().equals("qwen2");
    boolean slides = !qwen || config.path("use_sliding_window").asBoolean(false);
    if (slides
        && !config.path("sliding_window").isMissingNode()
        && !config.path("sliding_window").isNull()) {
      throw new InvalidInput(
          "config.json",
          "sliding_window is " + config.get("sliding_window"),
          "only full attention (null) is supported");
    }
    for (JsonNode layer : config.path("layer_types")) {
      if (!layer.asText().equals("full_attention")) {
        throw new InvalidInput(
            "config.json",
            "layer_types name " + layer.asText(),
            "only full_attention is supported");
      }
    }
    boolean bias = config.path("attention_bias").asBoolean(false);
    int hidden = read.size("hidden_size");
    int heads = read.size("num_attention_heads");
    if (!config.path("head_dim").isInt()) {
      read.divides("num_attention_heads", heads, "hidden_size", hidden);
    }
    int headSize = config.path("head_dim").asInt(hidden / heads);
    read.divides("2, for rotary positions,", 2, "the size of a head", headSize);
    int kvHeads = config.path("num_key_value_heads").asInt(heads);
    read.divides("num_key_value_heads", kvHeads, "num_attention_heads", heads);
    return new LlamaConfig(
        hidden,
        read.size("intermediate_size"),
        read.size("num_hidden_layers"),
        heads,
        kvHeads,
        headSize,
        read.size("vocab_size"),
        read.size("max_position_embeddings"),
        config.path("rms_norm_eps").asDouble(1e-6),
        Rope.frequencies(config, headSize),
        qwen || bias,
        bias,
        config.path("tie_word_embeddings").asBoolean(false),
        config.path("pad_token_id").asInt(0));
  }

  /** Name of a module of block {@code layer}. */
  String block(int layer, String module) {
    return "model.layers." + layer + "." + module;
  }
}
