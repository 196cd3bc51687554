package dev.kindling.job.ingest;

import dev.kindling.InvalidInput;
import dev.kindling.data.Example;
import dev.kindling.data.Labels;
import dev.kindling.data.TextTokenizer;
import dev.kindling.job.config.JobConfig.Format;
import dev.kindling.tensor.Backend;
import java.io.Serializable;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.Row;

/**
 * Turns a row into a tokenised example, or says what is wrong with it; where, only the driver
 * knows.
 *
 * @param format what rows must look like
 * @param tokenizer bytes of tokenizer.json; empty if the base has none
 * @param maxTokens longest sequence
 * @param vocabulary token ids lie below it
 * @param nextToken whether rows are for a language model
 * @param classes class names in index order
 */
record RowReader(
    Format format,
    byte[] tokenizer,
    int maxTokens,
    int vocabulary,
    boolean nextToken,
    List<String> classes)
    implements Serializable {
  private static final String ROW = "row";

  /** An example and whether its text was cut. */
  record Read(Example example, boolean truncated) {}

  /** The reader opened on an executor: tokenizer and class index. */
  final class Opened implements AutoCloseable {
    private final Labels labels = new Labels(classes);
    private TextTokenizer open;

    /**
     * @param position of the row within its block
     */
    Read read(Row row, long position) {
      String corrupt = row.getString(Source.CORRUPT);
      if (corrupt != null) {
        throw new InvalidInput(ROW, "is not a valid row: " + quote(corrupt), "mend or remove it");
      }
      boolean tokens = !row.isNullAt(Source.INPUT_IDS);
      if (format == Format.TOKENS && !tokens) {
        throw new InvalidInput(ROW, "has no input_ids", "data.format = tokens needs them");
      }
      if (tokens && format != Format.CLASSIFICATION) {
        int[] ids = ids(row);
        int[] labels = nextToken ? tokenLabels(row, ids) : new int[] {label(row)};
        return new Read(new Example(position, ids, labels), false);
      }
      if (nextToken) {
        throw new InvalidInput(
            ROW, "has no input_ids", "language models learn from tokens only so far");
      }
      int label = label(row);
      String text = row.getString(Source.TEXT);
      if (text == null) {
        throw new InvalidInput(ROW, "has no text", "every row needs text and label");
      }
      TextTokenizer.Tokens encoded = tokenizer().encode(text);
      check(encoded.ids());
      return new Read(new Example(position, encoded.ids(), new int[] {label}), encoded.truncated());
    }

    private int label(Row row) {
      String label = row.getString(Source.LABEL);
      if (label == null) {
        throw new InvalidInput(ROW, "has no label", "every row needs one");
      }
      return labels.index(label, ROW);
    }

    private int[] ids(Row row) {
      List<Integer> list = row.getList(Source.INPUT_IDS);
      int[] ids = new int[list.size()];
      for (int t = 0; t < ids.length; t++) {
        Integer id = list.get(t);
        ids[t] = id == null ? -1 : id;
      }
      check(ids);
      return ids;
    }

    /** The tokens themselves unless the row says otherwise. */
    private int[] tokenLabels(Row row, int[] ids) {
      if (row.isNullAt(Source.LABELS)) {
        return ids;
      }
      List<Integer> list = row.getList(Source.LABELS);
      if (list.size() != ids.length) {
        throw new InvalidInput(
            ROW,
            "has " + list.size() + " labels for " + ids.length + " input_ids",
            "expected one each, -100 where a token is not to be learned");
      }
      int[] wanted = new int[ids.length];
      for (int t = 0; t < wanted.length; t++) {
        Integer label = list.get(t);
        if (label == null || label >= vocabulary || (label < 0 && label != Backend.IGNORED)) {
          throw new InvalidInput(
              ROW, "has token label " + label, "expected -100 or 0 to " + (vocabulary - 1));
        }
        wanted[t] = label;
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
        open = TextTokenizer.open(tokenizer, maxTokens);
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
