package dev.kindling.model.gpt2;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import dev.kindling.model.ConfigJson;

/**
 * What the engine reads of a GPT-2 config.json.
 *
 * @param hidden d
 * @param intermediate f
 * @param layers blocks
 * @param heads attention heads; divide d
 * @param vocabulary rows of the word table
 * @param positions rows of the position table
 * @param epsilon of every layer norm
 * @param tied whether the head is the word table
 */
public record Gpt2Config(
    int hidden,
    int intermediate,
    int layers,
    int heads,
    int vocabulary,
    int positions,
    double epsilon,
    boolean tied) {
  /**
   * Reads a config.json.
   *
   * @throws InvalidInput naming what is missing or not supported
   */
  public static Gpt2Config of(JsonNode config) {
    ConfigJson read = new ConfigJson(config);
    read.only("activation_function", "gelu_new");
    read.only("scale_attn_weights", "true");
    read.only("scale_attn_by_inverse_layer_idx", "false");
    read.only("add_cross_attention", "false");
    int hidden = read.size("n_embd");
    read.divides("n_head", read.size("n_head"), "n_embd", hidden);
    return new Gpt2Config(
        hidden,
        config.path("n_inner").asInt(4 * hidden),
        read.size("n_layer"),
        read.size("n_head"),
        read.size("vocab_size"),
        read.size("n_positions"),
        config.path("layer_norm_epsilon").asDouble(1e-5),
        config.path("tie_word_embeddings").asBoolean(true));
  }

  /** Name of a module of block {@code layer}. */
  String block(int layer, String module) {
    return "transformer.h." + layer + "." + module;
  }
}
