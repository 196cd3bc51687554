package dev.kindling.export;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.RawSafetensors;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.LinearModule;
import dev.kindling.tensor.Storage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Consumer;

/** An adapter folder that tests write, bend and break. */
record PeftFolder(Path path) {
  static final List<String> CLASSES = List.of("A", "B", "C");

  PeftFolder write(List<LinearModule> modules, AdapterLayout layout, float[] vector) {
    try {
      PeftWriter.write(
          name -> Files.newOutputStream(path.resolve(name)),
          modules,
          layout,
          vector,
          new PeftWriter.Base("some/base", false, false),
          Notes.of(CLASSES, false, Storage.FP32));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return this;
  }

  ObjectNode config() {
    return (ObjectNode) HfFolder.json(path.resolve("adapter_config.json"));
  }

  /** Edits adapter_config.json. */
  PeftFolder configure(Consumer<ObjectNode> edit) {
    ObjectNode config = config();
    edit.accept(config);
    try {
      new ObjectMapper().writeValue(path.resolve("adapter_config.json").toFile(), config);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return this;
  }

  /** Edits the tensors of adapter_model.safetensors. */
  PeftFolder tensors(Consumer<TreeMap<String, Safetensors.Values>> edit) {
    TreeMap<String, Safetensors.Values> tensors = new TreeMap<>();
    Safetensors.open(path.resolve("adapter_model.safetensors"))
        .forEach((name, t) -> tensors.put(name, new Safetensors.Values(t.floats(), t.shape())));
    edit.accept(tensors);
    RawSafetensors.sound(path.resolve("adapter_model.safetensors"), tensors);
    return this;
  }

  PeftAdapter open() {
    return PeftAdapter.open(path);
  }
}
