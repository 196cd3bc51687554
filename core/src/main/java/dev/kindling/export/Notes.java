package dev.kindling.export;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.tensor.Storage;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What PEFT has no place for, kept in {@code kindling.json} beside its files.
 *
 * @param labels class names in index order; none of a language model; empty if nothing is said
 * @param nested whether each prefix of the pairs is an adapter, at scale alpha / its rank
 * @param codes how the base was kept that it learned beside, if as codes
 */
public record Notes(Optional<List<String>> labels, boolean nested, Optional<Storage> codes) {
  private static final String STORAGE = "baseStorage";

  /** Of an adapter that learned beside a base kept so. */
  public static Notes of(List<String> labels, boolean nested, Storage storage) {
    return new Notes(Optional.of(labels), nested, Optional.of(storage).filter(Storage::coded));
  }

  /** Of an adapter that says nothing. */
  static final Notes NONE = new Notes(Optional.empty(), false, Optional.empty());

  static Notes of(JsonNode node) {
    List<String> labels = new ArrayList<>();
    node.path("labels").forEach(label -> labels.add(label.asText()));
    return new Notes(
        node.has("labels") ? Optional.of(labels) : Optional.empty(),
        node.path("nested").asBoolean(false),
        node.has(STORAGE) ? Optional.of(codes(node.get(STORAGE).asText())) : Optional.empty());
  }

  private static Storage codes(String spelled) {
    return Storage.of(spelled)
        .filter(Storage::coded)
        .orElseThrow(
            () ->
                new InvalidInput(
                    PeftAdapter.NOTES_FILE,
                    STORAGE + " is " + spelled,
                    "expected nf4 or int8: was the adapter made by a later Kindling?"));
  }

  ObjectNode json() {
    ObjectMapper json = new ObjectMapper();
    ObjectNode node = json.createObjectNode();
    node.set("labels", json.valueToTree(labels.orElse(List.of())));
    if (nested) {
      node.put("nested", true);
    }
    codes.ifPresent(storage -> node.put(STORAGE, storage.spelled()));
    return node;
  }
}
