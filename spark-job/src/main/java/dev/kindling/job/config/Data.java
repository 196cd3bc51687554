package dev.kindling.job.config;

import java.util.Optional;

/**
 * Rows and their order.
 *
 * @param holdOut share of {@code train} that is evaluated rather than trained on
 */
public record Data(
    Optional<String> train,
    Optional<String> validation,
    double holdOut,
    Optional<String> filter,
    Optional<Integer> limit,
    BadRow onBadRow,
    Format format,
    String textColumn,
    String labelColumn,
    Split split,
    Optional<Integer> maxLength,
    boolean packing,
    boolean shuffle) {
  /** What rows look like. */
  public enum Format {
    AUTO,
    TOKENS,
    CLASSIFICATION,
    TEXT,
    PROMPT_COMPLETION
  }

  /** How a text becomes examples of a language model. */
  public enum Split {
    AUTO,
    NONE,
    BLANK_LINE,
    WINDOW
  }

  /** What to do with a row that cannot be used. */
  public enum BadRow {
    FAIL,
    DROP
  }
}
