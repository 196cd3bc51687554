package dev.kindling.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** {@code model.safetensors.index.json}: which shard holds which tensor. */
final class ShardIndex {
  private ShardIndex() {}

  /**
   * Opens all shards; index and shards must name the same tensors, each once.
   *
   * @throws InvalidInput naming missing files, and missing, extra and duplicate tensors
   */
  static Map<String, StoredTensor> open(Path folder, Path index) {
    Map<String, String> shardOf = new TreeMap<>();
    JsonNode map = HfFolder.json(index).path("weight_map");
    map.fields().forEachRemaining(e -> shardOf.put(e.getKey(), e.getValue().asText()));
    Map<String, StoredTensor> all = new TreeMap<>();
    Set<String> missing = new TreeSet<>(shardOf.keySet());
    List<String> extra = new ArrayList<>();
    List<String> twice = new ArrayList<>();
    for (String shard : new LinkedHashSet<>(shardOf.values())) {
      Path file = folder.resolve(shard);
      if (!Files.exists(file)) {
        throw new InvalidInput(file.toString(), "does not exist", index + " names it");
      }
      Safetensors.open(file)
          .forEach(
              (name, tensor) -> {
                String wanted = shardOf.get(name);
                String here = name + " (" + shard + ")";
                if (wanted == null) {
                  extra.add(here);
                } else if (!wanted.equals(shard)) {
                  twice.add(here);
                } else {
                  missing.remove(name);
                  all.put(name, tensor);
                }
              });
    }
    List<String> problems = new ArrayList<>();
    missing.forEach(name -> problems.add("missing " + name + " (" + shardOf.get(name) + ")"));
    extra.forEach(name -> problems.add("extra " + name));
    twice.forEach(name -> problems.add("out of place or duplicate " + name));
    if (!problems.isEmpty()) {
      throw new InvalidInput(
          index.toString(),
          "and its shards disagree: " + Safetensors.some(problems),
          "expected every tensor once, where the index says: fetch the folder again");
    }
    return all;
  }
}
