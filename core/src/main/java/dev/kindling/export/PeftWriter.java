package dev.kindling.export;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** Writes an adapter folder that PEFT loads. */
public final class PeftWriter {
  private static final ObjectMapper JSON = new ObjectMapper();

  private PeftWriter() {}

  /**
   * What the adapter is for.
   *
   * @param name path or address of the base
   * @param predictsTokens whether it is a language model
   * @param storesTransposed PEFT's fan_in_fan_out
   */
  public record Base(String name, boolean predictsTokens, boolean storesTransposed) {}

  /** Opens a file of the folder for writing. */
  public interface Files {
    OutputStream create(String name) throws IOException;
  }

  /**
   * Writes the three files.
   *
   * @param modules all linear layers of the model
   * @param base what adapter_config.json says of it
   */
  public static void write(
      Files files,
      List<LinearModule> modules,
      AdapterLayout layout,
      float[] vector,
      Base base,
      Notes notes)
      throws IOException {
    Map<String, Safetensors.Values> tensors = new HashMap<>();
    for (Parameter p : layout.learned()) {
      float[] values = Arrays.copyOfRange(vector, p.offset(), p.offset() + p.elements());
      tensors.put(p.peftName(), new Safetensors.Values(p.toStored(values), p.storedShape()));
    }
    try (OutputStream out = files.create(PeftAdapter.WEIGHTS_FILE)) {
      Safetensors.write(out, tensors, Map.of("format", "pt"));
    }
    json(files, PeftAdapter.CONFIG_FILE, config(modules, layout, base));
    json(files, PeftAdapter.NOTES_FILE, notes.json());
  }

  static void json(Files files, String name, ObjectNode tree) throws IOException {
    try (OutputStream out = files.create(name)) {
      out.write(JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(tree));
    }
  }

  private static ObjectNode config(List<LinearModule> modules, AdapterLayout layout, Base base) {
    AdapterSettings settings = layout.settings();
    ObjectNode config = JSON.createObjectNode();
    config.put("peft_type", "LORA");
    config.put("task_type", base.predictsTokens ? "CAUSAL_LM" : "SEQ_CLS");
    config.put("base_model_name_or_path", base.name);
    config.put("r", settings.r());
    alpha(config, "lora_alpha", settings.alpha());
    config.set("rank_pattern", JSON.valueToTree(settings.patterns().ranks()));
    ObjectNode alphas = config.putObject("alpha_pattern");
    settings.patterns().alphas().forEach((key, value) -> alpha(alphas, key, value));
    config.put("lora_dropout", settings.dropout());
    config.put("bias", "none");
    config.put("fan_in_fan_out", base.storesTransposed);
    config.put("inference_mode", true);
    config.put("init_lora_weights", true);
    config.put("use_rslora", settings.scaling() == Scaling.RANK_STABILISED);
    config.put("use_dora", settings.magnitudes());
    config.set("target_modules", JSON.valueToTree(targets(modules, layout)));
    List<String> saved = settings.modulesToSave();
    config.set("modules_to_save", saved.isEmpty() ? null : JSON.valueToTree(saved));
    return config;
  }

  /** As PEFT writes it, without a point where it can. */
  private static void alpha(ObjectNode node, String key, double value) {
    if (value == Math.rint(value)) {
      node.put(key, (long) value);
    } else {
      node.put(key, value);
    }
  }

  /** The regex as given, or the shortest names that match the adapted layers and no others. */
  private static Object targets(List<LinearModule> modules, AdapterLayout layout) {
    TargetModules declared = layout.settings().targets();
    if (declared instanceof TargetModules.Present present) {
      declared = present.declared();
    }
    if (declared instanceof TargetModules.Regex regex) {
      return regex.pattern().pattern();
    }
    TreeSet<String> names = new TreeSet<>();
    for (LinearModule module : modules) {
      if (layout.adapts(module.name())) {
        names.add(shortest(module.name(), modules, layout));
      }
    }
    return names;
  }

  private static String shortest(String name, List<LinearModule> modules, AdapterLayout layout) {
    for (int dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
      String suffix = name.substring(dot + 1);
      boolean clean =
          modules.stream().filter(m -> m.isNamed(suffix)).allMatch(m -> layout.adapts(m.name()));
      if (clean) {
        return suffix;
      }
    }
    return name;
  }
}
