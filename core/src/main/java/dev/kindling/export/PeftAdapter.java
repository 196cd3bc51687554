package dev.kindling.export;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LayerPatterns;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** An adapter folder on disk. */
public final class PeftAdapter {
  /** File of {@link Notes} beside PEFT's two. */
  static final String NOTES_FILE = "kindling.json";

  static final String CONFIG_FILE = "adapter_config.json";
  static final String WEIGHTS_FILE = "adapter_model.safetensors";

  private static final String PREFIX = "base_model.model.";
  private static final String COPY = ".base_layer.weight";

  /** Keys that are read, or say nothing about the function: names, versions, other tools' notes. */
  private static final Set<String> SILENT =
      Set.of(
          "peft_type",
          "task_type",
          "r",
          "lora_alpha",
          "lora_dropout",
          "target_modules",
          "modules_to_save",
          "fan_in_fan_out",
          "inference_mode",
          "base_model_name_or_path",
          "revision",
          "auto_mapping",
          "parent_library",
          "peft_version",
          "megatron_core",
          "qalora_group_size",
          "runtime_config",
          "use_rslora",
          "use_dora",
          "rank_pattern",
          "alpha_pattern");

  /** Flags that may change the function, and the values besides null that leave it alone. */
  private static final Set<String> OFF = Set.of("null", "false", "[]", "{}");

  private static final Map<String, Set<String>> HARMLESS =
      Map.ofEntries(
          Map.entry("bias", Set.of("none")),
          Map.entry("init_lora_weights", Set.of("true", "false", "gaussian", "eva", "orthogonal")));

  private final Path folder;
  private final AdapterSettings settings;
  private final Map<String, StoredTensor> tensors;

  /** Copies of base weights that PEFT saves beside an adapter on embeddings, by module. */
  private final Map<String, StoredTensor> copies;

  private final Notes notes;

  private PeftAdapter(
      Path folder,
      AdapterSettings settings,
      Map<String, StoredTensor> tensors,
      Map<String, StoredTensor> copies,
      Notes notes) {
    this.copies = copies;
    this.folder = folder;
    this.settings = settings;
    this.tensors = tensors;
    this.notes = notes;
  }

  /**
   * Opens an adapter folder.
   *
   * @throws InvalidInput naming every flag that is not supported, or what is broken
   */
  public static PeftAdapter open(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new InvalidInput(
          "adapter.init-from " + folder, "is not a folder", "expected a PEFT adapter folder");
    }
    Path file = folder.resolve(CONFIG_FILE);
    JsonNode config = HfFolder.json(file);
    List<String> refused = new ArrayList<>();
    if (!config.path("peft_type").asText("LORA").equals("LORA")) {
      refused.add("peft_type " + config.get("peft_type"));
    }
    config
        .fields()
        .forEachRemaining(
            field -> {
              String flag = field.getKey();
              JsonNode value = field.getValue();
              String text = value.isTextual() ? value.asText() : value.toString();
              if (!SILENT.contains(flag)
                  && !OFF.contains(text)
                  && !HARMLESS.getOrDefault(flag, Set.of()).contains(text)) {
                refused.add(flag + " = " + text);
              }
            });
    if (!refused.isEmpty()) {
      throw new InvalidInput(
          file.toString(),
          "uses " + String.join(", ", new TreeSet<>(refused)),
          "not supported yet: plain LoRA, use_rslora, use_dora and patterns are");
    }
    Path weights = folder.resolve(WEIGHTS_FILE);
    if (!Files.exists(weights)) {
      throw new InvalidInput(
          weights.toString(), "does not exist", "save the adapter as safetensors");
    }
    Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    Map<String, StoredTensor> copies = new LinkedHashMap<>();
    Safetensors.open(weights)
        .forEach(
            (name, tensor) -> {
              String key = plain(name);
              if (key.startsWith(PREFIX) && key.endsWith(COPY)) {
                copies.put(key.substring(PREFIX.length(), key.length() - COPY.length()), tensor);
              } else {
                tensors.put(key, tensor);
              }
            });
    return new PeftAdapter(folder, settings(file, config), tensors, copies, notes(folder));
  }

  /** Older PEFT versions kept the adapter's name and its wrapper in the keys. */
  private static String plain(String key) {
    return key.replace(".default.", ".")
        .replace(".modules_to_save.", ".")
        .replaceFirst("(lora_embedding_[AB])\\.default$", "$1")
        .replaceFirst("(lora_magnitude_vector)(\\.default)?(\\.weight)?$", "$1");
  }

  private static AdapterSettings settings(Path file, JsonNode config) {
    int r = config.path("r").asInt(8);
    double alpha = config.path("lora_alpha").asDouble(8);
    double dropout = config.path("lora_dropout").asDouble(0);
    if (r < 1 || !(alpha > 0) || dropout < 0 || dropout >= 1) {
      throw new InvalidInput(
          file.toString(),
          "r %d, lora_alpha %s, lora_dropout %s".formatted(r, alpha, dropout),
          "expected r ≥ 1, lora_alpha > 0 and lora_dropout in [0, 1)");
    }
    return new AdapterSettings(
        r,
        alpha,
        config.path("use_rslora").asBoolean() ? Scaling.RANK_STABILISED : Scaling.STANDARD,
        patterns(file, config),
        config.path("use_dora").asBoolean(),
        Sampling.NONE,
        dropout,
        targets(file, config),
        strings(config.path("modules_to_save")));
  }

  private static LayerPatterns patterns(Path file, JsonNode config) {
    Map<String, Integer> ranks = new LinkedHashMap<>();
    Map<String, Double> alphas = new LinkedHashMap<>();
    config
        .path("rank_pattern")
        .fields()
        .forEachRemaining(e -> ranks.put(e.getKey(), e.getValue().asInt()));
    config
        .path("alpha_pattern")
        .fields()
        .forEachRemaining(e -> alphas.put(e.getKey(), e.getValue().asDouble()));
    try {
      ranks.keySet().forEach(Pattern::compile);
      alphas.keySet().forEach(Pattern::compile);
    } catch (PatternSyntaxException e) {
      throw new InvalidInput(
          file.toString(), "rank_pattern, alpha_pattern: " + e.getMessage(), "mend the key");
    }
    if (ranks.values().stream().anyMatch(r -> r < 1)
        || alphas.values().stream().anyMatch(a -> !(a > 0))) {
      throw new InvalidInput(
          file.toString(),
          "rank_pattern " + ranks + ", alpha_pattern " + alphas,
          "expected ranks of at least 1 and alphas above 0");
    }
    return new LayerPatterns(ranks, alphas);
  }

  private static TargetModules targets(Path file, JsonNode config) {
    JsonNode value = config.path("target_modules");
    if (value.isArray()) {
      return new TargetModules.Names(strings(value));
    }
    if (!value.isTextual()) {
      throw new InvalidInput(
          file.toString(), "target_modules is " + value, "expected a list of names or one regex");
    }
    try {
      return value.asText().equals("all-linear")
          ? new TargetModules.AllLinear()
          : new TargetModules.Regex(Pattern.compile(value.asText()));
    } catch (PatternSyntaxException e) {
      throw new InvalidInput(
          file.toString(), "target_modules: " + e.getMessage(), "mend the regular expression");
    }
  }

  private static List<String> strings(JsonNode array) {
    List<String> values = new ArrayList<>();
    array.forEach(value -> values.add(value.asText()));
    return values;
  }

  private static Notes notes(Path folder) {
    Path file = folder.resolve(NOTES_FILE);
    return Files.exists(file) ? Notes.of(HfFolder.json(file)) : Notes.NONE;
  }

  /**
   * PEFT saves the base's table, too, beside an adapter on it, or where the vocabulary was resized:
   * then it is another base.
   *
   * @param base stored weight of a module, if the base has it
   * @throws InvalidInput if a copy is not what the base has
   */
  public void requireCopiesOf(Function<String, Optional<StoredTensor>> base) {
    copies.forEach(
        (module, copy) -> {
          Optional<StoredTensor> own = base.apply(module);
          boolean same =
              own.isPresent()
                  && Arrays.equals(own.get().shape(), copy.shape())
                  && Arrays.equals(own.get().floats(), copy.floats());
          if (!same) {
            throw new InvalidInput(
                copy.where(),
                "differs from the base's " + own.map(StoredTensor::name).orElse(module),
                "was the vocabulary resized? then save that base, and give it as base.path");
          }
        });
  }

  public AdapterSettings settings() {
    return settings;
  }

  /** What Kindling keeps beside it, if it was trained by it. */
  public Notes notes() {
    return notes;
  }

  /** Rows of the weight of a module that the adapter carries in full, for example the classes. */
  public Optional<Integer> outputs(String module) {
    return Optional.ofNullable(tensors.get(PREFIX + module + ".weight"))
        .filter(t -> t.shape().length == 2)
        .map(t -> Math.toIntExact(t.shape()[0]));
  }

  /**
   * The trainables of this adapter on a model. Of layers outside the blocks (pooler, head) only
   * those count that the file holds: PEFT's own matching by last name would adapt them too, but
   * tools differ there, and the file is the truth.
   *
   * @param dropout of the training to come
   * @throws InvalidInput if names or patterns match nothing
   */
  public AdapterLayout layout(List<LinearModule> modules, double dropout) {
    return layout(modules, new Training(dropout, Sampling.NONE));
  }

  /** What a folder says nothing of. */
  public record Training(double dropout, Sampling sampling) {}

  /** The same for any training to come. */
  public AdapterLayout layout(List<LinearModule> modules, Training training) {
    Set<String> present = new HashSet<>();
    for (LinearModule module : modules) {
      String name = PREFIX + module.name();
      if (tensors.containsKey(name + ".lora_A.weight")
          || tensors.containsKey(name + ".lora_embedding_A")) {
        present.add(module.name());
      }
    }
    List<String> saved =
        settings.modulesToSave().stream()
            .filter(s -> modules.stream().anyMatch(m -> m.liesIn(s)))
            .toList(); // PEFT lists every name that heads go by: classifier, score
    AdapterSettings effective =
        settings
            .on(new TargetModules.Present(settings.targets(), Set.copyOf(present)), saved)
            .dropping(training.dropout)
            .sampling(training.sampling);
    if (modules.stream().noneMatch(effective.targets()::matches) && saved.isEmpty()) {
      throw new InvalidInput(
          folder.resolve(CONFIG_FILE).toString(),
          "target_modules match no linear layer of the base",
          "is the adapter made for this model?");
    }
    return AdapterLayout.of(modules, effective);
  }

  /**
   * The adapter's values in layout order.
   *
   * @throws InvalidInput naming missing, extra or misshapen tensors
   */
  public float[] values(AdapterLayout layout) {
    float[] vector = layout.unlearned();
    Set<String> extra = new TreeSet<>(tensors.keySet());
    List<String> missing = new ArrayList<>();
    for (Parameter p : layout.learned()) {
      StoredTensor tensor = tensors.get(p.peftName());
      extra.remove(p.peftName());
      if (tensor == null) {
        missing.add(p.peftName());
        continue;
      }
      float[] values = p.fromStored(tensor.require(p.storedShape()).floats());
      for (float value : values) {
        if (!Float.isFinite(value)) {
          throw new InvalidInput(tensor.where(), "holds NaN or infinity", "the adapter is damaged");
        }
      }
      System.arraycopy(values, 0, vector, p.offset(), values.length);
    }
    if (!missing.isEmpty() || !extra.isEmpty()) {
      throw new InvalidInput(
          folder.resolve(WEIGHTS_FILE).toString(),
          "lacks " + missing + " and has besides " + extra,
          "adapter_config.json, file and base must belong together");
    }
    return vector;
  }
}
