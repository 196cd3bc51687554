package dev.kindling.job.evaluate;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/**
 * What a model makes of a data set.
 *
 * @param loss mean over all targets, in nats
 * @param perplexity e^loss of a language model
 * @param accuracy share of targets that a classifier gets right
 * @param targets labels that count
 * @param examples rows
 */
public record Evaluation(
    double loss, OptionalDouble perplexity, OptionalDouble accuracy, long targets, long examples) {
  /** As stdout and manifest show it; what a task does not have is null. */
  public ObjectNode json() {
    ObjectNode node = new ObjectMapper().createObjectNode();
    node.put("loss", loss);
    node.put("perplexity", boxed(perplexity));
    node.put("accuracy", boxed(accuracy));
    node.put("targets", targets);
    node.put("examples", examples);
    return node;
  }

  private static @Nullable Double boxed(OptionalDouble value) {
    return value.isPresent() ? value.getAsDouble() : null;
  }
}
