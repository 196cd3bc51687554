package dev.kindling.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;
import java.util.ArrayList;
import java.util.List;

/**
 * A config.json as families read it: sizes that must be there, and variants that must not.
 *
 * @param json the parsed file
 */
public record ConfigJson(JsonNode json) {
  /**
   * A size.
   *
   * @throws InvalidInput if it is missing or below 1
   */
  public int size(String key) {
    int value = json.path(key).asInt(-1);
    if (value < 1) {
      throw new InvalidInput(
          "config.json",
          json.has(key) ? key + " is " + json.get(key) : key + " is missing",
          "expected a whole number of at least 1");
    }
    return value;
  }

  /**
   * A size that divides another.
   *
   * @throws InvalidInput naming both if it does not
   */
  public void divides(String key, int part, String wholeKey, int whole) {
    if (whole % part != 0) {
      throw new InvalidInput(
          "config.json",
          key + " " + part + " does not divide " + wholeKey + " " + whole,
          "is it as published?");
    }
  }

  /** Tokens that end a text: the first is what a model learns to say; empty if there is none. */
  public List<Integer> endTokens() {
    List<Integer> ends = new ArrayList<>();
    JsonNode value = json.path("eos_token_id");
    if (value.isInt()) {
      ends.add(value.asInt());
    }
    value.forEach(end -> ends.add(end.asInt()));
    return ends;
  }

  /**
   * Refuses a variant that the engine does not compute.
   *
   * @param supported the only value that it does, which is also what a missing key or null means
   * @throws InvalidInput naming key and value
   */
  public void only(String key, String supported) {
    JsonNode value = json.path(key);
    if (!value.isMissingNode() && !value.isNull() && !value.asText().equals(supported)) {
      throw new InvalidInput(
          "config.json",
          key + " '" + value.asText() + "' is not supported",
          "only '" + supported + "' is");
    }
  }
}
