package dev.kindling.published;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MacbethScenesTest {
  @TempDir private static Path folder;
  private static List<String> train;
  private static List<String> validation;

  @BeforeAll
  static void importOnce() throws IOException {
    MacbethScenes.write(Jars.MACBETH, folder);
    train = texts(folder.resolve("train.jsonl"));
    validation = texts(folder.resolve("validation.jsonl"));
  }

  /** The Folio counts 27 scenes; editions that divide the battle at the end count more. */
  @Test
  void split_ofPublishedJar_hasAllScenesOfTheFolio() throws IOException {
    try (var files = Files.list(folder)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrderElementsOf(Published.MACBETH.files());
    }
    assertThat(train).hasSize(22).doesNotHaveDuplicates().doesNotContainAnyElementsOf(validation);
    assertThat(validation).hasSize(5).doesNotHaveDuplicates();
    assertThat(train.stream().mapToInt(String::length).sum()).isEqualTo(68_484);
    assertThat(validation.stream().mapToInt(String::length).sum()).isEqualTo(31_705);
  }

  @Test
  void headings_ofPublishedJar_countEachActFromOne() {
    assertThat(inOrder(train, validation).stream().map(scene -> scene.lines().findFirst().get()))
        .containsExactly(
            "Actus Primus. Scoena Prima.",
            "Scena Secunda.",
            "Scena Tertia.",
            "Scena Quarta.",
            "Scena Quinta.",
            "Scena Sexta.",
            "Scena Septima.",
            "Actus Secundus. Scena Prima.",
            "Scena Secunda.",
            "Scena Tertia.",
            "Scena Quarta.",
            "Actus Tertius. Scena Prima.",
            "Scena Secunda.",
            "Scena Tertia.",
            "Scaena Quarta.",
            "Scena Quinta.",
            "Scaena Sexta.",
            "Actus Quartus. Scena Prima.",
            "Scena Secunda.",
            "Scaena Tertia.",
            "Actus Quintus. Scena Prima.",
            "Scena Secunda.",
            "Scaena Tertia.",
            "Scena Quarta.",
            "Scena Quinta.",
            "Scena Sexta.",
            "Scena Septima.");
  }

  @Test
  void text_ofPublishedJar_isThePlayAndNoMore() {
    assertThat(train.get(0))
        .startsWith(
            """
            Actus Primus. Scoena Prima.

            Thunder and Lightning. Enter three Witches.

              1. When shall we three meet againe?
            """);
    assertThat(validation.get(0)).startsWith("Scena Quinta.\n\nEnter Macbeths Wife alone");
    assertThat(train.get(21)).endsWith("to see vs Crown'd at Scone.\n\nFlourish. Exeunt Omnes.");
    assertThat(inOrder(train, validation))
        .noneMatch(scene -> scene.contains("\r") || scene.contains("\n\n\n"))
        .noneMatch(scene -> scene.contains("FINIS") || scene.contains("Gutenberg"));
  }

  /** The digests are of the same rows made by a program in Python that shares no code with this. */
  @Test
  void rows_ofPublishedJar_equalForeignProgram() {
    assertThat(digest(train))
        .isEqualTo("c132c0498028b3880e991a05be425bd694f3b2152ebbb87d073765e4b00dc070");
    assertThat(digest(validation))
        .isEqualTo("493094ed807c30d8fa93fde315270ef94bd089cb00feb25b741d85487011e552");
  }

  @Test
  void play_ofSevenScenes_isCleanedAndTheFifthHeldOut(@TempDir Path other) throws IOException {
    String play =
        """
        A notice

        Actus Primus. Scoena Prima.  \r
        \r
        \t\r

          1. Hayle \t\r
           Macb. As I descended?


        Scaena Secunda.
        Actus Secundus. Scena Prima.
        The next Scena Tertia. is none
        Scena Quarta

        Scena Secunda.
        Exeunt.
        Scena Tertia.

        Hoboyes.
        Scena Quarta.
        Knocke.
        Scena Quinta.
        Enter.

        FINIS. THE END.
        Scena Sexta.
        Another notice
        """;
    write(play, other);
    assertThat(texts(other.resolve("train.jsonl")))
        .containsExactly(
            "Actus Primus. Scoena Prima.\n\n  1. Hayle\n   Macb. As I descended?",
            "Scaena Secunda.",
            "Actus Secundus. Scena Prima.\nThe next Scena Tertia. is none\nScena Quarta",
            "Scena Secunda.\nExeunt.",
            "Scena Quarta.\nKnocke.",
            "Scena Quinta.\nEnter.");
    assertThat(texts(other.resolve("validation.jsonl")))
        .containsExactly("Scena Tertia.\n\nHoboyes.");
  }

  @Test
  void play_ofFourScenes_isRefusedWithTheirNumber(@TempDir Path other) {
    assertThatThrownBy(() -> write("Scena Prima.\n\n".repeat(4) + "FINIS.\n", other))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("made-up.jar!/shakes.txt", "has 4 scene headings", "at least 5");
    assertThat(other.resolve("train.jsonl")).doesNotExist();
  }

  @Test
  void text_withoutHeadings_isRefused(@TempDir Path other) {
    assertThatThrownBy(() -> write("ACT I. SCENE I.\nFINIS.\n", other))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("shakes.txt", "has 0 scene headings", "Scena Secunda.");
  }

  @Test
  void play_withoutAnEnd_isRefused(@TempDir Path other) {
    assertThatThrownBy(() -> write("Scena Prima.\n\n".repeat(5), other))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("shakes.txt", "no line that begins with FINIS.");
  }

  private static void write(String play, Path folder) throws IOException {
    byte[] bytes = play.getBytes(StandardCharsets.US_ASCII);
    MacbethScenes.write(Jars.of(folder, Map.of("shakes.txt", bytes)), folder);
  }

  /** The scenes as they follow each other: four for training, one for validation. */
  private static List<String> inOrder(List<String> train, List<String> validation) {
    List<String> all = new ArrayList<>(train);
    for (int i = 0; i < validation.size(); i++) {
      all.add(5 * i + 4, validation.get(i));
    }
    return all;
  }

  /** SHA-256 over text, NUL of each row. */
  private static String digest(List<String> texts) {
    String all = texts.stream().map(text -> text + "\0").collect(Collectors.joining());
    return HexFormat.of().formatHex(HfFolder.sha256().digest(all.getBytes(StandardCharsets.UTF_8)));
  }

  private static List<String> texts(Path file) throws IOException {
    ObjectMapper json = new ObjectMapper();
    List<String> texts = new ArrayList<>();
    for (String line : Files.readAllLines(file)) {
      texts.add(json.readTree(line).path("text").asText());
    }
    return texts;
  }
}
