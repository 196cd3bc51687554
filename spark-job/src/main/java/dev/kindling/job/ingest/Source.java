package dev.kindling.job.ingest;

import dev.kindling.InvalidInput;
import dev.kindling.job.storage.Location;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Supplier;
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
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * Reads JSONL, CSV, Parquet and tables into rows of one shape, each with the file and block that it
 * came from, which is what the order of the examples is made of.
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

  /** What a row's hash is made of. */
  private static final List<String> CONTENT =
      List.of("text", "label", "input_ids", "labels", "prompt", "completion");

  /** Rows are parted by the millionth. */
  private static final long SHARES = 1_000_000;

  private static final DataType IDS = DataTypes.createArrayType(DataTypes.IntegerType);

  private Source() {}

  /**
   * Rows {text, label, input_ids, corrupt, path, block, labels, prompt, completion}; absent columns
   * are null. A plain text file is one row. Rows of a table, which have no order of their own, come
   * in that of their hashes.
   *
   * @param nextToken whether labels, one for each token, are wanted
   */
  static Dataset<Row> read(SparkSession session, Query query, boolean nextToken) {
    Location location = query.location();
    try {
      if (query.isTable()) {
        return ordered(part(shaped(session.table(query.table()), query, nextToken, false), query));
      }
      String uri = location.readable(session.sparkContext().hadoopConfiguration());
      String kind = kind(session, uri, location);
      Dataset<Row> rows = load(session.read(), uri, kind, query, nextToken);
      return part(shaped(rows, query, nextToken, kind.equals("text")), query);
    } catch (Exception e) {
      if (e instanceof AnalysisException && query.filter().isPresent()) {
        throw new InvalidInput(
            "data.filter '" + query.filter().get() + "' on " + location.key(),
            "cannot be used: " + String.valueOf(e.getMessage()).lines().findFirst().orElse(""),
            "expected an SQL condition on the columns of the data");
      }
      if (e instanceof AnalysisException || e instanceof SparkException) {
        throw unreadable(location, e);
      }
      throw e;
    }
  }

  /** Equal rows are one another's stand-ins: no order among them shows. */
  private static Dataset<Row> ordered(Dataset<Row> rows) {
    List<Column> order = new ArrayList<>(List.of(contentHash(0)));
    CONTENT.forEach(name -> order.add(functions.col(name)));
    return rows.orderBy(order.toArray(new Column[0]))
        .withColumn("file_block_start", functions.spark_partition_id().cast(DataTypes.LongType));
  }

  private static Dataset<Row> part(Dataset<Row> rows, Query query) {
    Query.Part part = query.part();
    if (part.share() == 0) {
      return rows;
    }
    Column place = functions.pmod(contentHash(part.seed()), functions.lit(SHARES));
    Column held = place.lt(Math.round(part.share() * SHARES));
    return rows.filter(part.held() ? held : functions.not(held));
  }

  /** Of what a row holds, wherever it lies. */
  private static Column contentHash(long seed) {
    List<Column> columns = new ArrayList<>(List.of(functions.lit(seed)));
    CONTENT.forEach(name -> columns.add(functions.col(name)));
    return functions.xxhash64(columns.toArray(new Column[0]));
  }

  /** What Spark makes of damaged data is the user's problem, and said so. */
  static <T> T reading(Location location, Supplier<T> read) {
    try {
      return read.get();
    } catch (Exception e) {
      if (e instanceof SparkException) {
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
      DataFrameReader reader, String uri, String kind, Query query, boolean nextToken) {
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
          (query.filter().isPresent()
                  ? withAllColumns(reader, uri, query, nextToken)
                  : reader.schema(schema(query, nextToken)))
              .option("columnNameOfCorruptRecord", CORRUPT_NAME)
              .option("allowNonNumericNumbers", "false")
              .json(uri);
    };
  }

  /** The schema of what is read, and whatever other columns a filter may look at. */
  private static DataFrameReader withAllColumns(
      DataFrameReader reader, String uri, Query query, boolean nextToken) {
    StructType known = schema(query, nextToken);
    List<String> names = Arrays.asList(known.fieldNames());
    for (StructField found : reader.json(uri).schema().fields()) {
      if (!names.contains(found.name())) {
        known = known.add(found);
      }
    }
    return reader.schema(known);
  }

  /**
   * Of JSON rows; labels of a classifier's data may be anything, and are not looked at. What a
   * filter reads is found out from the rows.
   */
  private static StructType schema(Query query, boolean nextToken) {
    StructType schema =
        new StructType()
            .add("input_ids", IDS)
            .add("prompt", DataTypes.StringType)
            .add("completion", DataTypes.StringType)
            .add(CORRUPT_NAME, DataTypes.StringType);
    if (nextToken) {
      schema = schema.add("labels", IDS);
    }
    for (String name : List.of(query.textColumn(), query.labelColumn())) {
      if (!Arrays.asList(schema.fieldNames()).contains(name)) {
        schema = schema.add(name, DataTypes.StringType);
      }
    }
    return schema;
  }

  private static Dataset<Row> shaped(
      Dataset<Row> rows, Query query, boolean nextToken, boolean wholeFiles) {
    List<String> columns = Arrays.asList(rows.columns());
    String text = wholeFiles ? "value" : query.textColumn();
    if (!columns.contains(text) && !columns.contains("input_ids") && !columns.contains("prompt")) {
      throw new InvalidInput(
          query.location().key() + " " + query.location().text(),
          "has columns " + columns,
          "expected "
              + text
              + ", or prompt and completion, or input_ids; with a label for a classifier");
    }
    boolean table = query.isTable();
    Dataset<Row> placed =
        rows.withColumn(
                "_path",
                table
                    ? functions.lit(query.location().text())
                    : functions.col("_metadata.file_path"))
            .withColumn(
                "_block", table ? functions.lit(0L) : functions.col("_metadata.file_block_start"));
    Dataset<Row> wanted = query.filter().map(placed::filter).orElse(placed);
    return wanted.select(
        column(columns, text).cast(DataTypes.StringType).as("text"),
        column(columns, query.labelColumn()).cast(DataTypes.StringType).as("label"),
        column(columns, "input_ids").cast(IDS).as("input_ids"),
        column(columns, CORRUPT_NAME).cast(DataTypes.StringType).as("corrupt"),
        functions.col("_path").as("file_path"),
        functions.col("_block").as("file_block_start"),
        (nextToken ? column(columns, "labels") : functions.lit(null)).cast(IDS).as("labels"),
        column(columns, "prompt").cast(DataTypes.StringType).as("prompt"),
        column(columns, "completion").cast(DataTypes.StringType).as("completion"));
  }

  private static Column column(List<String> columns, String name) {
    return columns.contains(name) ? functions.col("`" + name + "`") : functions.lit(null);
  }
}
