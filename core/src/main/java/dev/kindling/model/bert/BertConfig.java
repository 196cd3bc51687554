package dev.kindling.model.bert;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import dev.kindling.data.TokenBatch;
import dev.kindling.model.ConfigJson;

/**
 * What the engine reads of a BERT or RoBERTa config.json.
 *
 * @param kind which of the two
 * @param hidden d
 * @param intermediate f
 * @param layers blocks
 * @param heads attention heads; divide d
 * @param vocabulary rows of the word table
 * @param positions rows of the position table
 * @param types rows of the token-type table; all tokens have type 0
 * @param epsilon of every layer norm
 * @param padId token id of padding
 */
public record BertConfig(
    Kind kind,
    int hidden,
    int intermediate,
    int layers,
    int heads,
    int vocabulary,
    int positions,
    int types,
    double epsilon,
    int padId) {
  /** The two families, and where their modules differ. */
  enum Kind {
    BERT("bert", "bert.pooler.dense", "classifier"),
    ROBERTA("roberta", "classifier.dense", "classifier.out_proj");

    /** Prefix of the encoder's tensors. */
    final String prefix;

    /** The layer under the tanh. */
    final String dense;

    /** The layer that gives the logits. */
    final String out;

    Kind(String prefix, String dense, String out) {
      this.prefix = prefix;
      this.dense = dense;
      this.out = out;
    }
  }

  /** Reads a config.json of model_type bert. */
  public static BertConfig bert(JsonNode config) {
    return read(Kind.BERT, config, 0);
  }

  /** Reads a config.json of model_type roberta. */
  public static BertConfig roberta(JsonNode config) {
    return read(Kind.ROBERTA, config, 1);
  }

  private static BertConfig read(Kind kind, JsonNode config, int defaultPad) {
    ConfigJson json = new ConfigJson(config);
    json.only("hidden_act", "gelu");
    json.only("position_embedding_type", "absolute");
    json.only("is_decoder", "false");
    BertConfig read =
        new BertConfig(
            kind,
            json.size("hidden_size"),
            json.size("intermediate_size"),
            json.size("num_hidden_layers"),
            json.size("num_attention_heads"),
            json.size("vocab_size"),
            json.size("max_position_embeddings"),
            config.path("type_vocab_size").asInt(kind == Kind.BERT ? 2 : 1),
            config.path("layer_norm_eps").asDouble(1e-12),
            config.path("pad_token_id").asInt(defaultPad));
    if (read.hidden % read.heads != 0) {
      throw new InvalidInput(
          "config.json",
          "hidden_size " + read.hidden + " is no multiple of num_attention_heads " + read.heads,
          "is the file damaged?");
    }
    if (read.padId < 0 || read.padId >= read.vocabulary || read.rules().maxTokens() < 1) {
      throw new InvalidInput(
          "config.json",
          "pad_token_id is " + read.padId,
          "expected a token of the vocabulary (0 to %d), and positions beyond it"
              .formatted(read.vocabulary - 1));
    }
    return read;
  }

  /** Longest sequence: RoBERTa's first positions are taken by padding. */
  TokenBatch.Rules rules() {
    int first = kind == Kind.ROBERTA ? padId + 1 : 0;
    return new TokenBatch.Rules(padId, first, positions - first);
  }

  /** Name of a module of block {@code layer}. */
  String block(int layer, String module) {
    return kind.prefix + ".encoder.layer." + layer + "." + module;
  }

  /** Name of an embedding module. */
  String embedding(String module) {
    return kind.prefix + ".embeddings." + module;
  }
}
