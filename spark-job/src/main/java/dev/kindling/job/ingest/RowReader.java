package dev.kindling.job.ingest;

import dev.kindling.InvalidInput;
import dev.kindling.data.Labels;
import dev.kindling.data.LanguageText;
import dev.kindling.data.LanguageText.Piece;
import dev.kindling.data.TextTokenizer;
import dev.kindling.job.config.Data.Format;
import dev.kindling.job.config.Data.Split;
import dev.kindling.tensor.Backend;
import java.io.Serializable;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.spark.sql.Row;
import org.jspecify.annotations.Nullable;

/**
 * Turns a row into tokenised examples, or says what is wrong with it; where, only the driver knows.
 *
 * @param format what rows must look like
 * @param textColumn name of the column that holds text
 * @param labelColumn name of the column that holds a class
 * @param dropsBadRows whether rows that cannot be used are left out
 * @param split how a text becomes examples of a language model
 * @param tokenizer bytes of tokenizer.json; empty if the base has none
 * @param maxTokens longest sequence
 * @param vocabulary token ids lie below it
 * @param nextToken whether rows are for a language model
 * @param endToken what a text of a language model ends in; −1 if it has none
 * @param classes class names in index order
 */
public record RowReader(
    Format format,
    String textColumn,
    String labelColumn,
    boolean dropsBadRows,
    Split split,
    byte[] tokenizer,
    int maxTokens,
    int vocabulary,
    boolean nextToken,
    int endToken,
    List<String> classes)
    implements Serializable {
  private static final String ROW = "row";

  /** The reader opened on an executor: tokenizer and class index. */
  final class Opened implements AutoCloseable {
    private final Labels labels = new Labels(classes);
    private @Nullable TextTokenizer open;

    /** The examples of a row, in order. */
    List<Piece> read(Row row) {
      String corrupt = row.getString(Source.CORRUPT);
      if (corrupt != null) {
        throw new InvalidInput(ROW, "is not a valid row: " + quote(corrupt), "mend or remove it");
      }
      List<Piece> pieces =
          switch (format(row)) {
            case TOKENS -> List.of(tokens(row));
            case PROMPT_COMPLETION -> List.of(promptCompletion(row));
            case TEXT -> text(row);
            case CLASSIFICATION, AUTO -> List.of(classified(row));
          };
      pieces.forEach(piece -> check(piece.ids()));
      return pieces;
    }

    /** What is given, or else what the row has. */
    private Format format(Row row) {
      if (format != Format.AUTO) {
        return format;
      }
      if (!row.isNullAt(Source.INPUT_IDS)) {
        return Format.TOKENS;
      }
      if (!nextToken) {
        return Format.CLASSIFICATION;
      }
      return row.isNullAt(Source.PROMPT) ? Format.TEXT : Format.PROMPT_COMPLETION;
    }

    private Piece tokens(Row row) {
      if (row.isNullAt(Source.INPUT_IDS)) {
        throw new InvalidInput(ROW, "has no input_ids", "data.format = tokens needs them");
      }
      int[] ids = ints(row.getList(Source.INPUT_IDS));
      return new Piece(ids, nextToken ? tokenLabels(row, ids) : new int[] {label(row)}, false);
    }

    private Piece classified(Row row) {
      int label = label(row);
      String text = string(row, Source.TEXT, textColumn, "every row needs it");
      TextTokenizer.Tokens encoded = tokenizer().encode(text);
      return new Piece(encoded.ids(), new int[] {label}, encoded.truncated());
    }

    private List<Piece> text(Row row) {
      String text = string(row, Source.TEXT, textColumn, "a language model learns from it");
      LanguageText language = language();
      return switch (split) {
        case WINDOW -> language.windows(text);
        case BLANK_LINE -> language.paragraphs(text);
        case NONE -> language.whole(text);
        case AUTO ->
            row.getString(Source.PATH).toLowerCase(Locale.ROOT).matches(".*\\.txt(\\.\\w+)?")
                ? language.paragraphs(text)
                : language.whole(text);
      };
    }

    private Piece promptCompletion(Row row) {
      String expected = "prompt-completion rows need both";
      String prompt = string(row, Source.PROMPT, "prompt", expected);
      String completion = string(row, Source.COMPLETION, "completion", expected);
      if (endToken < 0) {
        throw new InvalidInput(
            ROW,
            "is a completion, but the base's config.json has no eos_token_id",
            "set it: a completion must learn how to end");
      }
      return language().promptCompletion(prompt, completion);
    }

    private LanguageText language() {
      OptionalInt end = endToken < 0 ? OptionalInt.empty() : OptionalInt.of(endToken);
      return new LanguageText(tokenizer(), end, maxTokens);
    }

    private static String string(Row row, int column, String name, String expected) {
      String value = row.getString(column);
      if (value == null) {
        throw new InvalidInput(ROW, "has no " + name, expected);
      }
      return value;
    }

    private int label(Row row) {
      return labels.index(string(row, Source.LABEL, labelColumn, "every row needs one"), ROW);
    }

    private static int[] ints(List<Integer> list) {
      return list.stream().mapToInt(id -> id == null ? -1 : id).toArray();
    }

    /** The tokens themselves unless the row says otherwise. */
    private int[] tokenLabels(Row row, int[] ids) {
      if (row.isNullAt(Source.LABELS)) {
        return ids;
      }
      int[] wanted = ints(row.getList(Source.LABELS));
      if (wanted.length != ids.length) {
        throw new InvalidInput(
            ROW,
            "has " + wanted.length + " labels for " + ids.length + " input_ids",
            "expected one each, -100 where a token is not to be learned");
      }
      for (int label : wanted) {
        if (label >= vocabulary || (label < 0 && label != Backend.IGNORED)) {
          throw new InvalidInput(
              ROW, "has token label " + label, "expected -100 or 0 to " + (vocabulary - 1));
        }
      }
      return wanted;
    }

    /** What the embedding tables can hold. */
    private void check(int[] ids) {
      if (ids.length == 0 || ids.length > maxTokens) {
        throw new InvalidInput(ROW, "has " + ids.length + " tokens", "expected 1 to " + maxTokens);
      }
      for (int id : ids) {
        if (id < 0 || id >= vocabulary) {
          throw new InvalidInput(
              ROW, "has token id " + id, "the vocabulary holds 0 to " + (vocabulary - 1));
        }
      }
    }

    private TextTokenizer tokenizer() {
      if (open == null) {
        if (tokenizer.length == 0) {
          throw new InvalidInput(
              ROW, "is text, but the base has no tokenizer.json", "add one, or give input_ids");
        }
        open = nextToken ? TextTokenizer.open(tokenizer) : TextTokenizer.open(tokenizer, maxTokens);
      }
      return open;
    }

    @Override
    public void close() {
      Optional.ofNullable(open).ifPresent(TextTokenizer::close);
    }
  }

  Opened open() {
    return new Opened();
  }

  private static String quote(String text) {
    return text.length() <= 120 ? text : text.substring(0, 120) + "…";
  }
}
