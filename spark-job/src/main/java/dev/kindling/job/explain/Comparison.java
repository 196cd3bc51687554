package dev.kindling.job.explain;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * What was predicted beside what a finished run has measured.
 *
 * @param rows each a quantity
 */
public record Comparison(List<Row> rows) {
  /**
   * @param unit of both numbers
   * @param ratio measured / predicted
   */
  public record Row(String quantity, String unit, double predicted, double measured, double ratio) {
    Row(String quantity, String unit, double predicted, double measured) {
      this(quantity, unit, predicted, measured, predicted == 0 ? 0 : measured / predicted);
    }
  }

  /**
   * Compares; of the steps' times the medians count.
   *
   * @param manifest of the finished run
   * @param metrics a line for each of its steps
   */
  public static Comparison of(Prediction predicted, JsonNode manifest, List<JsonNode> metrics) {
    double cells =
        metrics.stream().mapToDouble(m -> tokens(m) / (1 - m.get("padding").asDouble())).sum();
    double tokens = metrics.stream().mapToDouble(Comparison::tokens).sum();
    List<Row> rows = new ArrayList<>();
    Collections.addAll(
        rows,
        new Row("steps", "", predicted.run().steps(), metrics.size()),
        new Row("tokens of a step", "", predicted.run().tokensPerStep(), tokens / metrics.size()),
        new Row("padding", "%", 100 * predicted.run().padding(), 100 * (1 - tokens / cells)),
        new Row(
            "sent down in a step",
            "B",
            predicted.exchange().bytesDown(),
            mean(metrics, "bytesDown")),
        new Row("sent up in a step", "B", predicted.exchange().bytesUp(), mean(metrics, "bytesUp")),
        new Row(
            "tensors of the fullest executor",
            "B",
            predicted.memory().total(),
            manifest.at("/memory/measured/executor").asDouble()));
    if (predicted.seconds() != null) {
      rows.addAll(times(predicted.seconds(), metrics));
    }
    return new Comparison(rows);
  }

  private static List<Row> times(Prediction.Seconds seconds, List<JsonNode> metrics) {
    double total =
        metrics.stream().mapToDouble(m -> seconds(m, "Compute") + seconds(m, "Exchange")).sum();
    return List.of(
        new Row(
            "compute of a step",
            "s",
            seconds.compute(),
            median(metrics, m -> seconds(m, "Compute"))),
        new Row(
            "exchange of a step",
            "s",
            seconds.exchange(),
            median(metrics, m -> seconds(m, "Exchange"))),
        new Row(
            "a step",
            "s",
            seconds.step(),
            median(metrics, m -> seconds(m, "Compute") + seconds(m, "Exchange"))),
        new Row("all steps", "s", seconds.run(), total));
  }

  /** Where workers are averaged, most steps move nothing. */
  private static double mean(List<JsonNode> metrics, String of) {
    return metrics.stream().mapToDouble(m -> m.get(of).asDouble()).average().orElse(0);
  }

  private static double tokens(JsonNode line) {
    return line.get("tokens").asDouble();
  }

  private static double seconds(JsonNode line, String of) {
    return line.get("seconds" + of).asDouble();
  }

  private static double median(List<JsonNode> metrics, ToDoubleFunction<JsonNode> of) {
    double[] all = metrics.stream().mapToDouble(of).toArray();
    Arrays.sort(all);
    return all.length == 0 ? 0 : all[all.length / 2];
  }
}
