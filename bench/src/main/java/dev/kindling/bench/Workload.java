package dev.kindling.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.lora.TargetModules;
import dev.kindling.lora.TargetModules.Blocks;
import dev.kindling.lora.TargetModules.Names;
import java.util.List;

/**
 * A model's shape and what of it learns; its weights are random.
 *
 * @param config as a Hugging Face config.json says it
 * @param classes outputs of a classification head
 * @param targets layers that get a low-rank pair
 * @param saved modules trained in full
 * @param length tokens of each row
 */
public record Workload(
    String name,
    JsonNode config,
    int classes,
    TargetModules targets,
    List<String> saved,
    int length) {
  /** The quickstart's: all-MiniLM-L6-v2 under a head of 8 classes. */
  public static final Workload MINILM = bert("minilm", 384, 1536, 6, 12, 30_522, 128);

  /** RunLoRA's llama60m (Cherniuk et al., arXiv:2312.03415). */
  public static final Workload LLAMA_60M = llama("llama-60m", 512, 1376, 8, 8, 32_000, 1024);

  /** RunLoRA's llama130m. */
  public static final Workload LLAMA_130M = llama("llama-130m", 768, 2048, 12, 12, 32_000, 1024);

  /** RunLoRA's llama250m. */
  public static final Workload LLAMA_250M = llama("llama-250m", 768, 2560, 24, 16, 32_000, 1024);

  /** GPT-2 small. */
  public static final Workload GPT2_124M = gpt2("gpt2-124m", 768, 12, 12, 50_257, 1024);

  /** A BERT classifier with pairs on query, key and value, as conf/quickstart.conf has them. */
  public static Workload bert(
      String name,
      int hidden,
      int intermediate,
      int layers,
      int heads,
      int vocabulary,
      int length) {
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    config.put("model_type", "bert").put("hidden_size", hidden);
    config.put("intermediate_size", intermediate).put("num_hidden_layers", layers);
    config.put("num_attention_heads", heads).put("vocab_size", vocabulary);
    config.put("max_position_embeddings", 512).put("hidden_act", "gelu");
    Names pairs = new Names(List.of("query", "key", "value"));
    return new Workload(name, config, 8, pairs, List.of("classifier"), length);
  }

  /** A Llama with a head of its own and pairs on all seven projections. */
  public static Workload llama(
      String name,
      int hidden,
      int intermediate,
      int layers,
      int heads,
      int vocabulary,
      int length) {
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    config.put("model_type", "llama").put("hidden_size", hidden);
    config.put("intermediate_size", intermediate).put("num_hidden_layers", layers);
    config.put("num_attention_heads", heads).put("vocab_size", vocabulary);
    config.put("max_position_embeddings", length).put("hidden_act", "silu");
    config.put("rms_norm_eps", 1e-6).put("tie_word_embeddings", false);
    return new Workload(name, config, 1, new Blocks(), List.of(), length);
  }

  /** A GPT-2 with a tied head and pairs on c_attn, c_proj (both of them) and c_fc. */
  public static Workload gpt2(
      String name, int hidden, int layers, int heads, int vocabulary, int length) {
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    config.put("model_type", "gpt2").put("n_embd", hidden).put("n_layer", layers);
    config.put("n_head", heads).put("vocab_size", vocabulary).put("n_positions", length);
    config.put("activation_function", "gelu_new");
    Names pairs = new Names(List.of("c_attn", "c_proj", "c_fc"));
    return new Workload(name, config, 1, pairs, List.of(), length);
  }
}
