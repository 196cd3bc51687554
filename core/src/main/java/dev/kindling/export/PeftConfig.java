package dev.kindling.export;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LayerPatterns;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** What an {@code adapter_config.json} says. */
final class PeftConfig {
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

  private PeftConfig() {}

  /**
   * Reads it.
   *
   * @throws InvalidInput naming every flag that is not supported
   */
  static AdapterSettings settings(Path file, JsonNode config) {
    refuseOthers(file, config);
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

  private static void refuseOthers(Path file, JsonNode config) {
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
}
