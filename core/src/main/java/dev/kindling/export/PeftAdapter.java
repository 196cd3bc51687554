package dev.kindling.export;

import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Sampling;
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

/** An adapter folder on disk. */
public final class PeftAdapter {
  /** File of {@link Notes} beside PEFT's two. */
  static final String NOTES_FILE = "kindling.json";

  static final String CONFIG_FILE = "adapter_config.json";
  static final String WEIGHTS_FILE = "adapter_model.safetensors";

  private static final String PREFIX = "base_model.model.";
  private static final String COPY = ".base_layer.weight";

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
    AdapterSettings settings = PeftConfig.settings(file, HfFolder.json(file));
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
    return new PeftAdapter(folder, settings, tensors, copies, notes(folder));
  }

  /** Older PEFT versions kept the adapter's name and its wrapper in the keys. */
  private static String plain(String key) {
    return key.replace(".default.", ".")
        .replace(".modules_to_save.", ".")
        .replaceFirst("(lora_embedding_[AB])\\.default$", "$1")
        .replaceFirst("(lora_magnitude_vector)(\\.default)?(\\.weight)?$", "$1");
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
