package dev.kindling.job.ingest;

import dev.kindling.InvalidInput;
import dev.kindling.job.storage.Location;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import org.apache.spark.SparkException;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Reads JSONL, CSV and Parquet into rows of one shape, each with the file and block that it came
 * from, which is what the order of the examples is made of.
 */
final class Source {
  /** Columns of every row, in order. */
  static final int TEXT = 0;

  static final int LABEL = 1;
  static final int INPUT_IDS = 2;
  static final int CORRUPT = 3;
  static final int PATH = 4;
  static final int BLOCK = 5;
  static final int LABELS = 6;
  static final int PROMPT = 7;
  static final int COMPLETION = 8;

  private static final Map<String, String> KINDS =
      Map.of(
          "jsonl", "json", "ndjson", "json", "json", "json", "csv", "csv", "parquet", "parquet",
          "txt", "text");

  private static final String CORRUPT_NAME = "_corrupt_record";
  private static final DataType IDS = DataTypes.createArrayType(DataTypes.IntegerType);

  private Source() {}

  /**
   * Rows {text, label, input_ids, corrupt, path, block, labels, prompt, completion}; absent columns
   * are null. A plain text file is one row.
   *
   * @param textColumn the column that becomes text
   * @param nextToken whether labels, one for each token, are wanted
   */
  static Dataset<Row> read(
      SparkSession session, Location location, String textColumn, boolean nextToken) {
    String uri = location.readable(session.sparkContext().hadoopConfiguration());
    try {
      String kind = kind(session, uri, location);
      Dataset<Row> rows = load(session.read(), uri, kind, textColumn, nextToken);
      return shaped(rows, location, kind.equals("text") ? "value" : textColumn, nextToken);
    } catch (Exception e) {
      if (e instanceof AnalysisException || e instanceof SparkException) {
        throw unreadable(location, e);
      }
      throw e;
    }
  }

  /** What Spark said at the bottom of it, as the user's problem unless it is the cluster's. */
  static RuntimeException unreadable(Location location, Exception e) {
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    boolean clusters =
        root instanceof Error || String.valueOf(root.getMessage()).contains("Executor");
    if (clusters) {
      return new IllegalStateException(location.key() + ": " + root, e);
    }
    return new InvalidInput(
        location.key() + " " + location.text(),
        "cannot be read: " + String.valueOf(root.getMessage()).lines().findFirst().orElse(""),
        "expected JSONL, CSV with a header, Parquet or plain text, undamaged");
  }

  /** What all files are, by their names. */
  private static String kind(SparkSession session, String uri, Location location) {
    TreeSet<String> kinds = new TreeSet<>();
    for (String file : session.read().format("binaryFile").load(uri).inputFiles()) {
      String name = file.toLowerCase(Locale.ROOT).replaceFirst("\\.(gz|bz2|zst)$", "");
      kinds.add(KINDS.getOrDefault(name.substring(name.lastIndexOf('.') + 1), "unknown"));
    }
    if (kinds.size() == 1 && !kinds.contains("unknown")) {
      return kinds.first();
    }
    throw new InvalidInput(
        location.key() + " " + location.text(),
        kinds.isEmpty() ? "holds no files" : "holds files of kinds " + kinds,
        "expected files named .jsonl, .csv, .parquet or .txt, all of one kind");
  }

  private static Dataset<Row> load(
      DataFrameReader reader, String uri, String kind, String textColumn, boolean nextToken) {
    return switch (kind) {
      case "text" -> reader.option("wholetext", "true").text(uri);
      case "parquet" -> reader.parquet(uri);
      case "csv" ->
          reader
              .option("header", "true")
              .option("escape", "\"")
              .option("multiLine", "true")
              .csv(uri);
      default ->
          reader
              .schema(schema(textColumn, nextToken))
              .option("columnNameOfCorruptRecord", CORRUPT_NAME)
              .option("allowNonNumericNumbers", "false")
              .json(uri);
    };
  }

  /** Of JSON rows; labels of a classifier's data may be anything, and are not looked at. */
  private static StructType schema(String textColumn, boolean nextToken) {
    StructType schema =
        new StructType()
            .add("label", DataTypes.StringType)
            .add("input_ids", IDS)
            .add("prompt", DataTypes.StringType)
            .add("completion", DataTypes.StringType)
            .add(CORRUPT_NAME, DataTypes.StringType);
    if (nextToken) {
      schema = schema.add("labels", IDS);
    }
    return Arrays.asList(schema.fieldNames()).contains(textColumn)
        ? schema
        : schema.add(textColumn, DataTypes.StringType);
  }

  private static Dataset<Row> shaped(
      Dataset<Row> rows, Location location, String textColumn, boolean nextToken) {
    List<String> columns = Arrays.asList(rows.columns());
    if (!columns.contains(textColumn)
        && !columns.contains("input_ids")
        && !columns.contains("prompt")) {
      throw new InvalidInput(
          location.key() + " " + location.text(),
          "has columns " + columns,
          "expected "
              + textColumn
              + ", or prompt and completion, or input_ids; with a label for a classifier");
    }
    return rows.select(
        column(columns, textColumn).cast(DataTypes.StringType).as("text"),
        column(columns, "label").cast(DataTypes.StringType).as("label"),
        column(columns, "input_ids").cast(IDS).as("input_ids"),
        column(columns, CORRUPT_NAME).cast(DataTypes.StringType).as("corrupt"),
        functions.col("_metadata.file_path"),
        functions.col("_metadata.file_block_start"),
        (nextToken ? column(columns, "labels") : functions.lit(null)).cast(IDS).as("labels"),
        column(columns, "prompt").cast(DataTypes.StringType).as("prompt"),
        column(columns, "completion").cast(DataTypes.StringType).as("completion"));
  }

  private static Column column(List<String> columns, String name) {
    return columns.contains(name) ? functions.col(name) : functions.lit(null);
  }
}
