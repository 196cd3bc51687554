package dev.kindling.model.llama;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.kindling.InvalidInput;

/** The angles of rotary positions, with the scalings of longer contexts. */
final class Rope {
  private static final double DEFAULT_THETA = 10_000;
  private static final JsonNode EMPTY = JsonNodeFactory.instance.objectNode();

  private Rope() {}

  /**
   * Radians per position of each pair i of a head: theta^(−2i / headSize), then scaled as the
   * config says: under rope_scaling, or in newer ones, theta included, under rope_parameters.
   *
   * @throws InvalidInput if the kind of scaling is not supported, or lacks a number
   */
  static double[] frequencies(JsonNode config, int headSize) {
    boolean newer = config.path("rope_parameters").isObject();
    String key = newer ? "rope_parameters" : "rope_scaling";
    JsonNode scaling = config.path(key);
    double theta =
        scaling.path("rope_theta").asDouble(config.path("rope_theta").asDouble(DEFAULT_THETA));
    double[] frequencies = new double[headSize / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = Math.pow(theta, -2.0 * i / headSize);
    }
    boolean none = scaling.isMissingNode() || scaling.isNull() || scaling.equals(EMPTY);
    String unsaid = none ? "default" : "?";
    String kind = scaling.path("rope_type").asText(scaling.path("type").asText(unsaid));
    switch (kind) {
      case "default" -> {}
      case "linear" -> linear(frequencies, number(scaling, "factor"));
      case "llama3" -> llama3(frequencies, scaling);
      default ->
          throw new InvalidInput(
              "config.json",
              key + " of type '" + kind + "' is not supported",
              "supported are default, linear and llama3");
    }
    return frequencies;
  }

  private static double number(JsonNode scaling, String key) {
    double value = scaling.path(key).asDouble();
    if (!(value > 0)) {
      throw new InvalidInput(
          "config.json",
          "the scaling of rotary positions has " + key + " " + scaling.path(key),
          "expected a number above 0");
    }
    return value;
  }

  private static void linear(double[] frequencies, double factor) {
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] /= factor;
    }
  }

  /**
   * Llama 3.1's: waves longer than the old context are stretched by the factor, short ones are
   * kept, and between the two a share of each is taken.
   */
  private static void llama3(double[] frequencies, JsonNode scaling) {
    double factor = number(scaling, "factor");
    double low = number(scaling, "low_freq_factor");
    double high = number(scaling, "high_freq_factor");
    double old = number(scaling, "original_max_position_embeddings");
    if (low >= high) {
      throw new InvalidInput(
          "config.json",
          "low_freq_factor " + low + " is not below high_freq_factor " + high,
          "is the scaling of rotary positions as published?");
    }
    for (int i = 0; i < frequencies.length; i++) {
      double turns = old * frequencies[i] / (2 * Math.PI); // within the old context
      double kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
      frequencies[i] *= kept + (1 - kept) / factor;
    }
  }
}
