package dev.kindling.job.evaluate;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Locale;
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

  /** A table of these by rank, from 1 on. */
  public static ArrayNode table(List<Evaluation> ranks) {
    ArrayNode rows = new ObjectMapper().createArrayNode();
    for (int i = 0; i < ranks.size(); i++) {
      ObjectNode row = rows.addObject().put("rank", i + 1);
      row.setAll(ranks.get(i).json());
    }
    return rows;
  }

  /** The same for people; nothing without any. */
  public static String lines(List<Evaluation> ranks) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < ranks.size(); i++) {
      Evaluation one = ranks.get(i);
      text.append(
          String.format(
              Locale.ROOT, "  %-11s%3d: loss %.4f", i == 0 ? "ranks" : "", i + 1, one.loss));
      one.perplexity.ifPresent(
          p -> text.append(String.format(Locale.ROOT, ", perplexity %.3f", p)));
      one.accuracy.ifPresent(
          a -> text.append(String.format(Locale.ROOT, ", accuracy %.2f %%", 100 * a)));
      text.append('\n');
    }
    return text.toString();
  }

  private static @Nullable Double boxed(OptionalDouble value) {
    return value.isPresent() ? value.getAsDouble() : null;
  }
}
