package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.job.cli.InProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which rows are trained on: tables, filters, limits, a part held out, rows that are no good. */
class DataPlaneTest {
  private static final int ROWS = 40;

  @TempDir Path temp;
  private GoldenFolder bert;
  private final List<String> rows = new ArrayList<>();

  @BeforeEach
  void rows() {
    bert = GoldenFolder.copy("bert", temp);
    Random random = new Random(5);
    for (int i = 0; i < ROWS; i++) {
      List<Integer> ids = new ArrayList<>();
      for (int t = 0; t < 3 + i % 9; t++) {
        ids.add(3 + random.nextInt(50));
      }
      rows.add(
          "{\"input_ids\": %s, \"label\": %d, \"lang\": \"%s\", \"kind\": %d}"
              .formatted(ids, i % 3, i % 4 == 0 ? "de" : "en", i % 3));
    }
  }

  private Path file(String name, List<String> lines) throws IOException {
    Path file = temp.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.write(file, lines);
  }

  private record Run(List<Double> losses, JsonNode manifest) {}

  private Run run(String data, String... more) {
    Path output = temp.resolve("out-" + System.nanoTime());
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                "base.path=" + bert.folder(),
                "data.train=" + data,
                "adapter.modules-to-save=[classifier]",
                "train.steps=7",
                "train.global-batch-size=6",
                "optimizer.learning-rate=0.01",
                "output=" + output));
    arguments.addAll(List.of(more));
    InProcess run = kindling(2, arguments);
    assertThat(run.code()).as(run.stdout()).isZero();
    try {
      return new Run(
          GoldenFolder.losses(output),
          new ObjectMapper().readTree(output.resolve("_SUCCESS").toFile()));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The job finds the view because it uses the session that is there. */
  private Run table(List<String> lines, int partitions) throws IOException {
    Path file = file("table-" + partitions + "/rows.jsonl", lines);
    SparkSession session =
        SparkSession.builder()
            .master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
            .getOrCreate();
    session.read().json(file.toString()).repartition(partitions).createOrReplaceTempView("rows");
    return run("table:rows");
  }

  /** A table has no order of its own: rows shuffled and partitioned anyhow are the same data. */
  @Test
  void train_tableInAnyOrder_givesTheSameLosses() throws IOException {
    Run one = table(rows, 1);
    List<String> shuffled = new ArrayList<>(rows);
    Collections.shuffle(shuffled, new Random(1));
    Run other = table(shuffled, 7);
    assertThat(other.losses).isEqualTo(one.losses).hasSize(7);
    assertThat(other.manifest.at("/inputs/data.train"))
        .isEqualTo(one.manifest.at("/inputs/data.train"));
    assertThat(one.manifest.at("/examples").asInt()).isEqualTo(ROWS);
  }

  @ParameterizedTest
  @ValueSource(strings = {"lang = 'en'", "lang like 'e%' and size(input_ids) > 0"})
  void train_filter_isTheDataWithoutTheOtherRows(String filter) throws IOException {
    List<String> wanted = rows.stream().filter(row -> row.contains("\"en\"")).toList();
    Run expected = run(file("wanted.jsonl", wanted).toString());
    Run found = run(file("all.jsonl", rows).toString(), "data.filter=" + filter);
    assertThat(found.losses).isEqualTo(expected.losses);
    assertThat(found.manifest.at("/examples").asInt()).isEqualTo(30);
  }

  @Test
  void train_filterThatIsNoSql_isAnInputErrorThatNamesIt() throws IOException {
    InProcess run =
        kindling(
            2,
            bert.train(
                temp.resolve("out"),
                "data.train=" + file("all.jsonl", rows),
                "data.filter=no such column"));
    assertThat(run.code()).as(run.stdout()).isEqualTo(3);
    assertThat(run.messages()).contains("data.filter 'no such column'");
  }

  @Test
  void train_limit_isTheFirstRows() throws IOException {
    Run expected = run(file("first.jsonl", rows.subList(0, 13)).toString());
    Run found = run(file("all.jsonl", rows).toString(), "data.limit=13");
    assertThat(found.losses).isEqualTo(expected.losses);
    assertThat(found.manifest.at("/examples").asInt()).isEqualTo(13);
    assertThat(run(file("all.jsonl", rows).toString(), "data.limit=1000").losses)
        .isEqualTo(run(file("all.jsonl", rows).toString()).losses);
  }

  /** The folders' names are columns. */
  @Test
  void train_partitionedFolder_canBeFilteredByItsColumn() throws IOException {
    file("parts/day=1/rows.jsonl", rows.subList(0, 10));
    file("parts/day=2/rows.jsonl", rows.subList(10, 40));
    Run expected = run(file("second.jsonl", rows.subList(10, 40)).toString());
    Run found = run(temp.resolve("parts").toString(), "data.filter=day = 2");
    assertThat(found.losses).isEqualTo(expected.losses);
  }

  @Test
  void train_labelColumn_isReadInsteadOfLabel() throws IOException {
    Run expected = run(file("all.jsonl", rows).toString());
    List<String> other = rows.stream().map(r -> r.replace("\"label\"", "\"ignored\"")).toList();
    Run found = run(file("other.jsonl", other).toString(), "data.label-column=kind");
    assertThat(found.losses).isEqualTo(expected.losses);
  }

  /** A row is on the same side wherever it lies and whatever else there is. */
  @Test
  void train_holdOut_partsTheRowsByWhatTheyHold() throws IOException {
    Run whole = run(file("all.jsonl", rows).toString(), "data.hold-out=0.25");
    int trained = whole.manifest.at("/examples").asInt();
    int held = whole.manifest.at("/result/validation/examples").asInt();
    assertThat(trained + held).isEqualTo(ROWS);
    assertThat(held).isBetween(3, 20);
    Run half = run(file("half.jsonl", rows.subList(0, 20)).toString(), "data.hold-out=0.25");
    Run rest = run(file("rest.jsonl", rows.subList(20, 40)).toString(), "data.hold-out=0.25");
    assertThat(half.manifest.at("/examples").asInt() + rest.manifest.at("/examples").asInt())
        .isEqualTo(trained);
    Run otherSeed = run(file("all.jsonl", rows).toString(), "data.hold-out=0.25", "train.seed=1");
    assertThat(otherSeed.manifest.at("/inputs/data.validation"))
        .isNotEqualTo(whole.manifest.at("/inputs/data.validation"));
  }

  @Test
  void train_badRowsDropped_isTheDataWithoutThem() throws IOException {
    Run expected = run(file("clean.jsonl", rows).toString());
    List<String> mixed = new ArrayList<>(rows);
    mixed.add(3, "{\"input_ids\": [1, 2");
    mixed.add(20, "{\"input_ids\": [1, 2]}");
    mixed.add("{\"input_ids\": [], \"label\": 1}");
    Path data = file("mixed.jsonl", mixed);
    Run found = run(data.toString(), "data.on-bad-row=drop");
    assertThat(found.losses).isEqualTo(expected.losses);
    assertThat(found.manifest.at("/dropped").asInt()).isEqualTo(3);
    List<String> quoted = new ArrayList<>();
    found.manifest.at("/droppedFirst").forEach(q -> quoted.add(q.asText()));
    assertThat(quoted).hasSize(3);
    assertThat(quoted.get(0)).contains("mixed.jsonl, row 4", "not a valid row");
    assertThat(quoted.get(1)).contains("row 21", "has no label");
    assertThat(quoted.get(2)).contains("row 43", "0 tokens");

    InProcess fails = kindling(2, bert.train(temp.resolve("o"), "data.train=" + data));
    assertThat(fails.code()).isEqualTo(3);
    assertThat(fails.messages()).contains("row 4");
  }
}
