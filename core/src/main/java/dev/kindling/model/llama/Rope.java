package dev.kindling.model.llama;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.InvalidInput;

/** The angles of rotary positions, with the scalings of longer contexts. */
final class Rope {
  private static final double DEFAULT_THETA = 10_000;

  private Rope() {}

  /**
   * Radians per position of each pair i of a head: theta^(−2i / headSize), then as rope_scaling
   * says.
   *
   * @throws InvalidInput if the kind of scaling is not supported
   */
  static double[] frequencies(JsonNode config, int headSize) {
    JsonNode scaling = config.path("rope_scaling");
    double theta = config.path("rope_theta").asDouble(DEFAULT_THETA);
    double[] frequencies = new double[headSize / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = Math.pow(theta, -2.0 * i / headSize);
    }
    String kind = scaling.path("rope_type").asText(scaling.path("type").asText("default"));
    switch (kind) {
      case "default" -> {}
      case "linear" -> linear(frequencies, scaling.path("factor").asDouble());
      case "llama3" -> llama3(frequencies, scaling);
      default ->
          throw new InvalidInput(
              "config.json",
              "rope_scaling of type '" + kind + "' is not supported",
              "supported are default, linear and llama3");
    }
    return frequencies;
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
    double factor = scaling.path("factor").asDouble();
    double low = scaling.path("low_freq_factor").asDouble();
    double high = scaling.path("high_freq_factor").asDouble();
    double old = scaling.path("original_max_position_embeddings").asDouble();
    for (int i = 0; i < frequencies.length; i++) {
      double turns = old * frequencies[i] / (2 * Math.PI); // within the old context
      double kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
      frequencies[i] *= kept + (1 - kept) / factor;
    }
  }
}
