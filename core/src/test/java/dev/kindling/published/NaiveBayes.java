package dev.kindling.published;

import dev.kindling.published.WordNetGlosses.Row;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * Multinomial naive Bayes over words and punctuation marks: what a classifier gets out of the data
 * set that knows nothing of order, meaning or any other text. A fine-tuned encoder must beat it.
 *
 * <p>A class c scores log P(c) + Σ log (n(w, c) + ½) / (n(c) + ½·V) over the tokens w of a text,
 * where n counts tokens of training rows and V is the number of distinct ones.
 */
final class NaiveBayes {
  private static final Pattern TOKEN =
      Pattern.compile("[a-z']+|[^\\w\\s]", Pattern.UNICODE_CHARACTER_CLASS);
  private static final double SMOOTHING = 0.5;

  private final Map<String, Map<String, Integer>> words = new TreeMap<>();
  private final Map<String, Integer> rows = new HashMap<>();
  private final Map<String, Integer> totals = new HashMap<>();
  private final Set<String> vocabulary = new HashSet<>();

  NaiveBayes(List<Row> train) {
    for (Row row : train) {
      rows.merge(row.label(), 1, Integer::sum);
      Map<String, Integer> counts = words.computeIfAbsent(row.label(), c -> new HashMap<>());
      for (String token : tokens(row.text())) {
        counts.merge(token, 1, Integer::sum);
        totals.merge(row.label(), 1, Integer::sum);
        vocabulary.add(token);
      }
    }
  }

  private static List<String> tokens(String text) {
    return TOKEN
        .matcher(text.toLowerCase(Locale.ROOT))
        .results()
        .map(match -> match.group())
        .toList();
  }

  String classify(String text) {
    List<String> tokens = tokens(text);
    return words.keySet().stream()
        .max(Comparator.comparingDouble(label -> score(label, tokens)))
        .orElseThrow();
  }

  /** Up to a constant: the number of training rows is the same for all classes. */
  private double score(String label, List<String> tokens) {
    double total = totals.get(label) + SMOOTHING * vocabulary.size();
    double score = Math.log(rows.get(label));
    for (String token : tokens) {
      score += Math.log((words.get(label).getOrDefault(token, 0) + SMOOTHING) / total);
    }
    return score;
  }

  /** Share of rows whose label is guessed. */
  double accuracy(List<Row> held) {
    return held.stream().filter(row -> classify(row.text()).equals(row.label())).count()
        / (double) held.size();
  }
}
