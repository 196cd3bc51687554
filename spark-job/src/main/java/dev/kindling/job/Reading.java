package dev.kindling.job;

import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.data.Grouping;
import dev.kindling.data.Labels;
import dev.kindling.data.TextTokenizer;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.Data;
import dev.kindling.job.config.Data.Format;
import dev.kindling.job.config.Data.Split;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.ingest.RowReader;
import dev.kindling.model.ConfigJson;
import dev.kindling.model.ModelPlan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * How rows become examples and examples micro-batches, checked against what the base is.
 *
 * @param maxTokens longest example
 * @param tokenizer bytes of tokenizer.json; empty if the base has none or rows are tokens
 * @param endToken what a text ends in; −1 if the base does not say
 */
record Reading(JobConfig config, ModelPlan outline, int maxTokens, byte[] tokenizer, int endToken) {
  /** Rows of this many tokens are filled unasked; attention is quadratic in it. */
  private static final int LARGEST_UNASKED = 2048;

  static Reading of(JobConfig config, HfFolder base, ModelPlan outline) {
    Data data = config.data();
    int limit = outline.rules().maxTokens();
    int maxTokens = data.maxLength().orElse(limit);
    List<Integer> ends = new ConfigJson(base.config()).endTokens();
    List<String> problems = new ArrayList<>();
    if (maxTokens > limit) {
      problems.add(
          "data.max-length is " + maxTokens + ": the base's position table holds " + limit);
    }
    boolean language = outline.predictsTokens();
    refuse(
        problems,
        language && maxTokens < 2,
        "data.max-length is 1: a language model predicts a token from those before it; set at"
            + " least 2");
    if (!language) {
      refuse(problems, data.packing(), "data.packing is for language models");
      refuse(problems, data.split() != Split.AUTO, "data.split is for language models");
      refuse(
          problems,
          data.format() == Format.TEXT || data.format() == Format.PROMPT_COMPLETION,
          "data.format is for language models: a classifier reads classification or tokens");
    }
    refuse(
        problems,
        language && data.format() == Format.CLASSIFICATION,
        "data.format = classification is for classifiers: a language model reads text,"
            + " prompt-completion or tokens");
    refuse(
        problems,
        (data.packing() || data.split() == Split.WINDOW)
            && data.maxLength().isEmpty()
            && limit > LARGEST_UNASKED,
        "data.max-length is missing: packing and windows fill rows of that many tokens, and the"
            + " base's position table holds "
            + limit);
    ConfigProblems.check(problems);
    return new Reading(
        config,
        outline,
        maxTokens,
        tokenizer(base, config, outline, maxTokens),
        ends.isEmpty() ? -1 : ends.get(0));
  }

  private static void refuse(List<String> problems, boolean when, String problem) {
    if (when) {
      problems.add(problem);
    }
  }

  /** Opened once here, to be sure of it. */
  private static byte[] tokenizer(
      HfFolder base, JobConfig config, ModelPlan outline, int maxTokens) {
    if (config.data().format() == Format.TOKENS) {
      return new byte[0];
    }
    byte[] json = tokenizer(base);
    if (json.length == 0) {
      return json;
    }
    try (TextTokenizer tokenizer = TextTokenizer.open(json)) {
      int least = tokenizer.specials() + 1;
      if (maxTokens < least && !outline.predictsTokens()) {
        throw new ConfigProblems(
            List.of(
                "data.max-length is %d: the tokenizer adds %d tokens to every text; set at least %d"
                    .formatted(maxTokens, least - 1, least)));
      }
    }
    return json;
  }

  /** Bytes of the base's tokenizer.json; empty if it has none. */
  static byte[] tokenizer(HfFolder base) {
    Path file = base.folder().resolve("tokenizer.json");
    try {
      return Files.exists(file) ? Files.readAllBytes(file) : new byte[0];
    } catch (IOException e) {
      throw new InvalidInput(file.toString(), "cannot be read: " + e.getMessage(), "is it whole?");
    }
  }

  /** The reader of rows, once the classes are known. */
  RowReader rows(Labels labels) {
    Data data = config.data();
    return new RowReader(
        data.format(),
        data.textColumn(),
        data.labelColumn(),
        data.onBadRow() == Data.BadRow.DROP,
        data.split(),
        tokenizer,
        maxTokens,
        outline.vocabulary(),
        outline.predictsTokens(),
        endToken,
        labels.names());
  }

  /** How a batch is cut into micro-batches. */
  Grouping grouping() {
    return new Grouping(config.compute().microBatch(), config.data().packing() ? maxTokens : 0);
  }
}
