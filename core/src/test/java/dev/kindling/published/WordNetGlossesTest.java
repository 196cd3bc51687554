package dev.kindling.published;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.published.WordNetGlosses.Row;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WordNetGlossesTest {
  @TempDir private static Path folder;
  private static List<Row> train;
  private static List<Row> validation;

  @BeforeAll
  static void importOnce() throws IOException {
    WordNetGlosses.write(Jars.WORDNET, folder);
    train = rows(folder.resolve("train.jsonl"));
    validation = rows(folder.resolve("validation.jsonl"));
  }

  @Test
  void split_ofPublishedJar_hasEightClassesOfAThousand() throws IOException {
    try (var files = Files.list(folder)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrderElementsOf(Published.WORDNET_GLOSSES.files());
    }
    assertThat(train).hasSize(6_432);
    assertThat(validation).hasSize(1_568);
    Map<String, Long> sizes =
        Stream.concat(train.stream(), validation.stream())
            .collect(Collectors.groupingBy(Row::label, Collectors.counting()));
    assertThat(sizes)
        .containsOnlyKeys(
            "noun.act",
            "noun.animal",
            "noun.artifact",
            "noun.communication",
            "noun.location",
            "noun.person",
            "noun.plant",
            "noun.state");
    assertThat(sizes.values()).containsOnly(1_000L);
  }

  /** The digests are of the same rows made by a program in Python that shares no code with this. */
  @Test
  void rows_ofPublishedJar_equalForeignProgram() {
    assertThat(digest(train))
        .isEqualTo("7ac80972ef1a954f54769b96f93e724c3a13f640cd73f4901fd88546b461dc42");
    assertThat(digest(validation))
        .isEqualTo("c93bd2b124379e1609ad9c2f778dc69a05fc26daa4af4d60dab25c422b68cf01");
  }

  /** So that an encoder's accuracy can be judged: what words alone give, and chance is 1 in 8. */
  @Test
  void naiveBayes_onTheSplit_getsThreeQuartersRight() {
    double accuracy = new NaiveBayes(train).accuracy(validation);
    System.out.printf("naive Bayes: %.4f of %d validation rows%n", accuracy, validation.size());
    assertThat(accuracy).isBetween(0.77, 0.80);
  }

  @Test
  void glosses_repeatedOrAmbiguousOrEmpty_areLeftOut(@TempDir Path other) throws IOException {
    String nouns =
        """
          1 A licence | stands here
        00000001 20 n 01 rose 0 000 | a  shrub; with thorns; "every rose"; "has them" \s
        00000002 20 n 01 rosa 0 000 | A shrub; with thorns
        00000003 20 n 01 plant 0 000 | something living
        00000004 05 n 01 beast 0 000 | something Living;"it lives"
        00000005 05 n 01 cat 0 000 | ; "miaow"
        00000006 05 n 01 dog 0 000 | it barks | and bites
        """;
    write(nouns, other);
    List<Row> all = new ArrayList<>(rows(other.resolve("train.jsonl")));
    all.addAll(rows(other.resolve("validation.jsonl")));
    assertThat(all)
        .containsExactlyInAnyOrder(
            new Row("a  shrub; with thorns", "noun.plant"),
            new Row("it barks | and bites", "noun.animal"));
  }

  @Test
  void line_thatIsNoSynset_isRefusedByNumber(@TempDir Path other) {
    assertThatThrownBy(() -> write("00000001 20 n | good\nwhat is this?\n", other))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("made-up.jar", "data.noun line 2", "is no synset");
  }

  @Test
  void line_ofAVerbFile_isRefused(@TempDir Path other) {
    assertThatThrownBy(() -> write("00000001 29 v | breathe\n", other))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("line 1", "lexicographer file 29", "03 to 28");
  }

  private static void write(String nouns, Path folder) throws IOException {
    byte[] bytes = nouns.getBytes(StandardCharsets.ISO_8859_1);
    WordNetGlosses.write(
        Jars.of(folder, Map.of("net/sf/extjwnl/data/wordnet/wn31/data.noun", bytes)), folder);
  }

  /** SHA-256 over text, tab, label, newline of each row. */
  private static String digest(List<Row> rows) {
    String all =
        rows.stream().map(r -> r.text() + "\t" + r.label() + "\n").collect(Collectors.joining());
    return HexFormat.of().formatHex(HfFolder.sha256().digest(all.getBytes(StandardCharsets.UTF_8)));
  }

  private static List<Row> rows(Path file) throws IOException {
    ObjectMapper json = new ObjectMapper();
    List<Row> rows = new ArrayList<>();
    for (String line : Files.readAllLines(file)) {
      JsonNode row = json.readTree(line);
      rows.add(new Row(row.path("text").asText(), row.path("label").asText()));
    }
    return rows;
  }
}
