package dev.kindling.model.llama;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is read of a config.json, and what is refused by name rather than ignored. */
class LlamaConfigTest {
  private static ObjectNode config(String more) {
    try {
      ObjectMapper json = new ObjectMapper();
      ObjectNode least =
          (ObjectNode)
              json.readTree(
                  """
                  {"model_type": "llama", "hidden_size": 24, "intermediate_size": 40,
                   "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 61,
                   "max_position_embeddings": 64}
                  """);
      least.setAll((ObjectNode) json.readTree(more));
      return least;
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void of_leastConfig_hasHuggingFacesDefaults() {
    LlamaConfig read = LlamaConfig.of(config("{}"));
    assertThat(read.kvHeads()).isEqualTo(4);
    assertThat(read.headSize()).isEqualTo(6);
    assertThat(read.epsilon()).isEqualTo(1e-6);
    assertThat(read.qkvBias()).isFalse();
    assertThat(read.tied()).isFalse();
    assertThat(read.frequencies()).hasSize(3).startsWith(1);
  }

  @Test
  void of_qwen2_hasBiasOnQueryKeyAndValueOnly() {
    LlamaConfig read =
        LlamaConfig.of(
            config(
                "{\"model_type\": \"qwen2\", \"sliding_window\": 32768, \"use_sliding_window\": false}"));
    assertThat(read.qkvBias()).isTrue();
    assertThat(read.outBias()).isFalse();
  }

  @Test
  void of_headDim_isTakenBeforeTheQuotient() {
    assertThat(LlamaConfig.of(config("{\"head_dim\": 16}")).headSize()).isEqualTo(16);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"hidden_act\": \"relu\"}|hidden_act 'relu'",
        "{\"mlp_bias\": true}|mlp_bias 'true'",
        "{\"sliding_window\": 4096}|sliding_window is 4096",
        "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2}}|rope_scaling of type 'yarn'",
        "{\"rope_parameters\": {\"rope_type\": \"yarn\"}}|rope_parameters of type 'yarn'",
        "{\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 1}}}|rope_parameters of type '?'",
        "{\"rope_scaling\": {\"rope_type\": \"linear\"}}|has factor",
        "{\"num_attention_heads\": 7}|num_attention_heads 7 does not divide hidden_size 24",
        "{\"num_key_value_heads\": 3}|num_key_value_heads 3 does not divide num_attention_heads 4",
        "{\"head_dim\": 5}|does not divide the size of a head 5",
        "{\"rope_scaling\": \"linear\"}|rope_scaling of type '?'",
        "{\"rope_scaling\": {\"factor\": 2}}|rope_scaling of type '?'",
        "{\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 1, \"original_max_position_embeddings\": 32}}|low_freq_factor 4.0 is not below",
        "{\"layer_types\": [\"full_attention\", \"sliding_attention\"]}|layer_types name sliding",
        "{\"partial_rotary_factor\": 0.5}|partial_rotary_factor '0.5'",
        "{\"vocab_size\": 0}|vocab_size is 0"
      })
  void of_variantThatIsNotSupported_isRefusedByName(String more, String said) {
    assertThatThrownBy(() -> LlamaConfig.of(config(more)))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContaining(said);
  }

  /** Older configs spell rope_type as type. */
  @ParameterizedTest
  @CsvSource({"rope_type", "type"})
  void frequencies_linear_areDividedByTheFactor(String spelling) {
    double[] plain = Rope.frequencies(config("{}"), 8);
    double[] scaled =
        Rope.frequencies(
            config("{\"rope_scaling\": {\"" + spelling + "\": \"linear\", \"factor\": 4}}"), 8);
    for (int i = 0; i < plain.length; i++) {
      assertThat(scaled[i]).isCloseTo(plain[i] / 4, within(1e-15));
    }
  }

  /** transformers 5 moved rope_theta into rope_parameters. */
  @Test
  void frequencies_newerSpelling_areTheSame() {
    double[] older =
        Rope.frequencies(
            config(
                "{\"rope_theta\": 500, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}"),
            8);
    double[] newer =
        Rope.frequencies(
            config(
                "{\"rope_parameters\": {\"rope_type\": \"linear\", \"rope_theta\": 500, \"factor\": 2}}"),
            8);
    assertThat(newer).isEqualTo(older);
    double[] plain = Rope.frequencies(config("{\"rope_theta\": 500}"), 8);
    assertThat(
            Rope.frequencies(
                config("{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 500}}"),
                8))
        .isEqualTo(plain)
        .isNotEqualTo(Rope.frequencies(config("{}"), 8));
  }

  /** Fast pairs turn often within the old context and stay; slow ones are stretched whole. */
  @Test
  void frequencies_llama3_keepTheFastAndStretchTheSlow() {
    String scaling =
        "{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1,"
            + " \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}}";
    double[] plain = Rope.frequencies(config("{}"), 64);
    double[] scaled = Rope.frequencies(config(scaling), 64);
    assertThat(scaled[0]).isEqualTo(plain[0]);
    assertThat(scaled[31]).isCloseTo(plain[31] / 8, within(1e-15));
    for (int i = 0; i < 32; i++) {
      assertThat(scaled[i] / plain[i]).isBetween(1 / 8.0 - 1e-12, 1.0);
    }
  }
}
