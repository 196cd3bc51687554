package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Text in every source format, classes from the data, and the order of the examples. */
class IngestTest {
  private static final List<String> WORDS =
      List.of("a", "good", "bad", "film", "films", "cafe", ".");

  @TempDir Path temp;
  private GoldenFolder bert;
  private final List<String[]> rows = new ArrayList<>();

  @BeforeEach
  void texts() throws IOException {
    bert = GoldenFolder.copy("bert", temp);
    try (InputStream in = IngestTest.class.getResourceAsStream("/tokenizer/wordpiece.json")) {
      Files.write(bert.folder().resolve("tokenizer.json"), in.readAllBytes());
    }
    Random random = new Random(3);
    for (int i = 0; i < 40; i++) {
      List<String> words = new ArrayList<>();
      for (int w = 0; w < 1 + i % 9; w++) {
        words.add(WORDS.get(random.nextInt(WORDS.size())));
      }
      rows.add(new String[] {String.join(" ", words) + ", \"said\"", i % 3 == 0 ? "yes" : "no"});
    }
  }

  private Path jsonl(String name, List<String[]> part) throws IOException {
    List<String> lines = new ArrayList<>();
    for (String[] row : part) {
      ObjectMapper json = new ObjectMapper();
      lines.add(
          json.writeValueAsString(
              json.createObjectNode().put("text", row[0]).put("label", row[1])));
    }
    Path file = temp.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.write(file, lines);
  }

  private List<Double> losses(Path data, String... more) {
    Path output = temp.resolve("out-" + System.nanoTime());
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                "base.path=" + bert.folder(),
                "data.train=" + data,
                "train.steps=9",
                "train.global-batch-size=7",
                "optimizer.learning-rate=0.01",
                "output=" + output));
    arguments.addAll(List.of(more));
    InProcess run = kindling(2, arguments);
    assertThat(run.code()).as(run.stdout()).isZero();
    return GoldenFolder.losses(output);
  }

  @Test
  void train_jsonlCsvParquet_giveTheSameLosses() throws IOException {
    Path jsonl = jsonl("rows.jsonl", rows);
    List<Double> expected = losses(jsonl);
    List<String> lines = new ArrayList<>(List.of("label,text"));
    rows.forEach(r -> lines.add(r[1] + ",\"" + r[0].replace("\"", "\"\"") + "\""));
    assertThat(losses(Files.write(temp.resolve("rows.csv"), lines))).isEqualTo(expected);

    Path parquet = temp.resolve("rows-parquet");
    try (SparkSession spark =
        SparkSession.builder()
            .master("local[1]")
            .config("spark.ui.enabled", "false")
            .getOrCreate()) {
      spark.read().json(jsonl.toString()).coalesce(1).write().parquet(parquet.toString());
    }
    assertThat(losses(parquet)).isEqualTo(expected);
  }

  /** Files are ordered by path and rows by offset, however Spark cuts and schedules them. */
  @Test
  void train_rowsInFilesOfAnySize_keepTheirOrder() throws IOException {
    List<Double> expected = losses(jsonl("one/rows.jsonl", rows), "data.shuffle=false");
    int[] cuts = {0, 1, 30, 33, 40};
    for (int f = 0; f + 1 < cuts.length; f++) {
      jsonl("many/part-" + f + ".jsonl", rows.subList(cuts[f], cuts[f + 1]));
    }
    assertThat(losses(temp.resolve("many"), "data.shuffle=false")).isEqualTo(expected);
    System.setProperty("spark.sql.files.maxPartitionBytes", "300");
    System.setProperty("spark.sql.files.openCostInBytes", "1");
    try {
      assertThat(losses(temp.resolve("one"), "data.shuffle=false")).isEqualTo(expected);
      assertThat(losses(temp.resolve("many"), "data.shuffle=false")).isEqualTo(expected);
    } finally {
      System.clearProperty("spark.sql.files.maxPartitionBytes");
      System.clearProperty("spark.sql.files.openCostInBytes");
    }
    Collections.reverse(rows);
    assertThat(losses(jsonl("other/rows.jsonl", rows), "data.shuffle=false"))
        .isNotEqualTo(expected);
  }

  @Test
  void train_csvWithLineBreaksInQuotes_readsThemAsText() throws IOException {
    Path csv =
        Files.writeString(
            temp.resolve("rows.csv"),
            "text,label\r\n\"good\nfilm, \"\"a\"\"\",yes\r\n\"bad film\",no\r\n");
    Path jsonl =
        Files.writeString(
            temp.resolve("same.jsonl"),
            """
            {"text": "good\\nfilm, \\"a\\"", "label": "yes"}
            {"text": "bad film", "label": "no"}
            """);
    assertThat(losses(csv)).isEqualTo(losses(jsonl));
  }

  /** Columns that mean something elsewhere mean nothing here, and any can be the text. */
  @Test
  void train_otherColumns_areNotLookedAt() throws IOException {
    List<Double> expected = losses(jsonl("rows.jsonl", rows));
    ObjectMapper json = new ObjectMapper();
    List<String> lines = new ArrayList<>();
    List<String> csv = new ArrayList<>(List.of("labels,completion,label"));
    for (String[] row : rows) {
      lines.add(
          json.writeValueAsString(
              json.createObjectNode()
                  .put("labels", "positive")
                  .put("completion", row[0])
                  .put("label", row[1])));
      csv.add("positive,\"" + row[0].replace("\"", "\"\"") + "\"," + row[1]);
    }
    String column = "data.text-column=completion";
    assertThat(losses(Files.write(temp.resolve("other.jsonl"), lines), column)).isEqualTo(expected);
    assertThat(losses(Files.write(temp.resolve("other.csv"), csv), column)).isEqualTo(expected);
  }

  @Test
  void maxLength_noRoomBesideTheSpecials_isConfigError() throws IOException {
    InProcess run =
        kindling(
            "train",
            "base.path=" + bert.folder(),
            "data.train=" + jsonl("rows.jsonl", rows),
            "data.max-length=2",
            "train.steps=1",
            "output=" + temp.resolve("out"));
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.messages()).contains("the tokenizer adds 2 tokens", "set at least 3");
  }

  @Test
  void train_baseWithoutHead_learnsTheClassesOfTheDataAndWritesThem() throws IOException {
    Path data = jsonl("rows.jsonl", rows);
    Path output = temp.resolve("out");
    InProcess run =
        kindling(
            "train",
            "base.path=" + bert.folder(),
            "data.train=" + data,
            "data.validation=" + data,
            "data.max-length=6",
            "train.steps=3",
            "output=" + output);
    assertThat(run.code()).as(run.stdout()).isZero();
    JsonNode labels = new ObjectMapper().readTree(output.resolve("adapter/kindling.json").toFile());
    assertThat(labels.get("labels")).hasToString("[\"no\",\"yes\"]");
    JsonNode manifest = new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile());
    assertThat(manifest.get("truncated").asInt()).isBetween(20, 40);
    JsonNode adapter =
        new ObjectMapper().readTree(output.resolve("adapter/adapter_config.json").toFile());
    // output.dense matches attention.output.dense too; the pooler's dense must stay out.
    assertThat(adapter.get("target_modules"))
        .hasToString("[\"intermediate.dense\",\"key\",\"output.dense\",\"query\",\"value\"]");

    InProcess again =
        kindling(
            "evaluate",
            "base.path=" + bert.folder(),
            "adapter.init-from=" + output.resolve("adapter"),
            "data.max-length=6",
            "data.validation=" + data);
    assertThat(again.json().at("/loss").asDouble())
        .isCloseTo(run.json().at("/validation/loss").asDouble(), offset(1e-6));
    assertThat(again.json().at("/accuracy").asDouble())
        .isEqualTo(run.json().at("/validation/accuracy").asDouble());
  }

  @Test
  void train_poolerAskedFor_isTrainedAndSaved() throws IOException {
    Path output = temp.resolve("out");
    Path data = jsonl("rows.jsonl", rows);
    InProcess run =
        kindling(
            "train",
            "base.path=" + bert.folder(),
            "data.train=" + data,
            "adapter.modules-to-save=[classifier, pooler]",
            "adapter.dropout=0.2",
            "train.steps=2",
            "output=" + output);
    assertThat(run.code()).as(run.stdout()).isZero();
    JsonNode adapter =
        new ObjectMapper().readTree(output.resolve("adapter/adapter_config.json").toFile());
    assertThat(adapter.get("modules_to_save")).hasToString("[\"classifier\",\"pooler\"]");
    assertThat(
            dev.kindling.checkpoint.Safetensors.open(
                output.resolve("adapter/adapter_model.safetensors")))
        .containsKey("base_model.model.bert.pooler.dense.weight");
  }

  @Test
  void dropout_anyMicroBatchAndCores_hasTheSameLosses() throws IOException {
    Path data = jsonl("rows.jsonl", rows);
    List<Double> one = losses(data, "adapter.dropout=0.4", "train.micro-batch-size=1");
    List<Double> five = losses(data, "adapter.dropout=0.4", "train.micro-batch-size=5");
    Stream.iterate(0, i -> i + 1)
        .limit(one.size())
        .forEach(i -> assertThat(one.get(i)).isCloseTo(five.get(i), offset(1e-5)));
    assertThat(losses(data, "adapter.dropout=0")).isNotEqualTo(one);
    // Another seed draws other masks: with data and adapter held fixed, only they can differ.
    String[] fixed = {
      "adapter.init-from=" + bert.path("adapter"), "data.shuffle=false", "adapter.dropout=0.4"
    };
    List<Double> seeds = losses(tokens(), fixed);
    assertThat(
            losses(
                tokens(),
                Stream.concat(Stream.of(fixed), Stream.of("train.seed=1")).toArray(String[]::new)))
        .isNotEqualTo(seeds);
  }

  private Path tokens() {
    return bert.folder().resolve("data.jsonl");
  }
}
