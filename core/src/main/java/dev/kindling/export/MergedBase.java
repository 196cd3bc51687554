package dev.kindling.export;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.Safetensors.Written;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.LinearModule.Kind;
import dev.kindling.lora.Magnitudes;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;

/**
 * A base with an adapter merged into it: w + s·B·A in double, rounded once to the width that the
 * base is stored in; what was trained in full instead of what was there. In the base's own layout:
 * the same shards, names and types, so that whatever reads the base reads this.
 *
 * @param modules of the model
 * @param slots all that the model reads of the base
 */
public record MergedBase(
    HfFolder base,
    List<LinearModule> modules,
    List<WeightSlot> slots,
    AdapterLayout layout,
    float[] trainables) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String WHOLE = "model.safetensors";

  /**
   * Writes the weights, their index if they are in shards, and last of all config.json, without
   * which a folder is no model.
   *
   * @param labels class names of a classifier
   */
  public void write(PeftWriter.Files files, List<String> labels) throws IOException {
    Map<String, Supplier<float[]>> merged = new HashMap<>();
    Map<String, Written> fresh = new TreeMap<>();
    for (LinearModule module : modules) {
      pair(module).ifPresent(merge -> merged.put(stored(module).name(), merge));
      for (Role role : List.of(Role.WEIGHT, Role.BIAS)) {
        layout.find(module.name(), role).ifPresent(p -> whole(p, merged, fresh));
      }
    }
    Map<Path, Map<String, Written>> shards = new TreeMap<>();
    Map<String, String> names = fresh.isEmpty() ? Map.of() : canonical();
    for (StoredTensor tensor : base.tensors()) {
      shards
          .computeIfAbsent(tensor.file(), file -> new TreeMap<>())
          .put(names.getOrDefault(tensor.name(), tensor.name()), written(tensor, merged));
    }
    shards.get(shards.keySet().stream().reduce((a, b) -> b).orElseThrow()).putAll(fresh);
    for (Map.Entry<Path, Map<String, Written>> shard : shards.entrySet()) {
      try (OutputStream out = files.create(String.valueOf(shard.getKey().getFileName()))) {
        Safetensors.stream(out, shard.getValue(), Map.of("format", "pt"));
      }
    }
    if (!shards.containsKey(base.folder().resolve(WHOLE))) {
      PeftWriter.json(files, WHOLE + ".index.json", index(shards));
    }
    PeftWriter.json(files, "config.json", config(labels, !fresh.isEmpty()));
  }

  private StoredTensor stored(LinearModule module) {
    return base.find(module.weight()).orElseThrow();
  }

  private static Written written(StoredTensor tensor, Map<String, Supplier<float[]>> merged) {
    Supplier<float[]> values = merged.get(tensor.name());
    return values == null ? tensor.copy() : tensor.with(values);
  }

  /** Instead of what the base has there, or beside it. */
  private void whole(
      Parameter p, Map<String, Supplier<float[]>> merged, Map<String, Written> fresh) {
    float[] values = new float[p.elements()];
    System.arraycopy(trainables, p.offset(), values, 0, values.length);
    Optional<StoredTensor> there = base.find(p.name()); // of a tied head there is none
    if (there.isPresent()) {
      merged.put(there.get().name(), () -> p.toStored(values));
    } else {
      fresh.put(p.name(), new Safetensors.Values(p.toStored(values), p.storedShape()).written());
    }
  }

  /**
   * w + s·B·A of a module with a pair, its rows as long as they have learned to be; of a table w
   * [rows, d] + s·A [rows, r]·(B [d, r])ᵀ.
   */
  private Optional<Supplier<float[]>> pair(LinearModule module) {
    boolean table = module.kind() == Kind.EMBEDDING;
    Optional<Parameter> down = layout.find(module.name(), table ? Role.EMBEDDING_A : Role.A);
    return down.map(
        a -> {
          Parameter b = layout.find(module.name(), table ? Role.EMBEDDING_B : Role.B).orElseThrow();
          return () -> {
            DMatrixRMaj left = matrix(table ? a : b);
            DMatrixRMaj right = matrix(table ? b : a);
            long[] shape = module.weightShape();
            Parameter whole = new Parameter(module.name(), Role.WEIGHT, 0, module.turned(), shape);
            float[] w = whole.fromStored(stored(module).floats());
            DMatrixRMaj sum = new DMatrixRMaj((int) shape[0], (int) shape[1]);
            for (int i = 0; i < w.length; i++) {
              sum.data[i] = w[i];
            }
            double scale = layout.scale(module.name());
            if (table) {
              CommonOps_DDRM.multAddTransB(scale, left, right, sum);
            } else {
              CommonOps_DDRM.multAdd(scale, left, right, sum);
            }
            layout
                .find(module.name(), Role.MAGNITUDE)
                .ifPresent(m -> Magnitudes.give(trainables, m.offset(), sum));
            for (int i = 0; i < w.length; i++) {
              w[i] = (float) sum.data[i];
            }
            return whole.toStored(w);
          };
        });
  }

  private DMatrixRMaj matrix(Parameter p) {
    DMatrixRMaj matrix = new DMatrixRMaj((int) p.shape()[0], (int) p.shape()[1]);
    for (int i = 0; i < p.elements(); i++) {
      matrix.data[i] = trainables[p.offset() + i];
    }
    return matrix;
  }

  /** A base without a head may leave out its prefix; with one its tensors need full names. */
  private Map<String, String> canonical() {
    Map<String, String> names = new HashMap<>();
    slots.forEach(slot -> base.find(slot.name()).ifPresent(t -> names.put(t.name(), slot.name())));
    return names;
  }

  private static ObjectNode index(Map<Path, Map<String, Written>> shards) {
    ObjectNode index = JSON.createObjectNode();
    ObjectNode map = JSON.createObjectNode();
    long size = 0;
    for (Map.Entry<Path, Map<String, Written>> shard : shards.entrySet()) {
      for (Map.Entry<String, Written> tensor : shard.getValue().entrySet()) {
        map.put(tensor.getKey(), String.valueOf(shard.getKey().getFileName()));
        size += tensor.getValue().bytes();
      }
    }
    index.putObject("metadata").put("total_size", size);
    index.set("weight_map", map);
    return index;
  }

  private ObjectNode config(List<String> labels, boolean newHead) {
    ObjectNode config = base.config().deepCopy();
    if (!labels.isEmpty()) {
      ObjectNode names = config.putObject("id2label");
      ObjectNode indices = config.putObject("label2id");
      for (int i = 0; i < labels.size(); i++) {
        names.put(String.valueOf(i), labels.get(i));
        indices.put(labels.get(i), i);
      }
    }
    boolean untied =
        modules.stream()
            .filter(m -> !m.weight().equals(m.name() + ".weight"))
            .anyMatch(m -> layout.find(m.name(), Role.WEIGHT).isPresent());
    if (untied) { // the head has a weight of its own now
      config.put("tie_word_embeddings", false);
    } else if (newHead) {
      List<String> heads = new ArrayList<>();
      String type = config.path("model_type").asText("bert");
      heads.add(
          config
                  .path("architectures")
                  .path(0)
                  .asText(type.substring(0, 1).toUpperCase(Locale.ROOT) + type.substring(1))
                  .replaceFirst("(Model|For[A-Z]\\w+)$", "")
              + "ForSequenceClassification");
      config.set("architectures", JSON.valueToTree(heads));
    }
    return config;
  }
}
