package dev.kindling.export;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What PEFT has no place for, kept in {@code kindling.json} beside its files.
 *
 * @param labels class names in index order; none of a language model; empty if nothing is said
 * @param nested whether each prefix of the pairs is an adapter, at scale alpha / its rank
 */
public record Notes(Optional<List<String>> labels, boolean nested) {
  /** Of an adapter that says nothing. */
  static final Notes NONE = new Notes(Optional.empty(), false);

  static Notes of(JsonNode node) {
    List<String> labels = new ArrayList<>();
    node.path("labels").forEach(label -> labels.add(label.asText()));
    return new Notes(
        node.has("labels") ? Optional.of(labels) : Optional.empty(),
        node.path("nested").asBoolean(false));
  }

  ObjectNode json() {
    ObjectMapper json = new ObjectMapper();
    ObjectNode node = json.createObjectNode();
    node.set("labels", json.valueToTree(labels.orElse(List.of())));
    if (nested) {
      node.put("nested", true);
    }
    return node;
  }
}
