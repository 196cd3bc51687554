package dev.kindling.published;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.InvalidInput;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A text to continue: the scenes of Macbeth in the spelling of the First Folio of 1623.
 *
 * <p>The play is in the public domain, the jar that holds it is Apache-2.0 licensed. The file
 * begins with the title and ends with {@code FINIS.}: no notice of Project Gutenberg, nor of any
 * other publisher, stands in it.
 *
 * <p>Every choice follows from the text alone, so that all who build the data get the same rows:
 *
 * <ol>
 *   <li>a scene begins with its heading, such as {@code Scaena Tertia.} or, if it opens an act,
 *       {@code Actus Primus. Scoena Prima.}; what stands before the first is dropped;
 *   <li>the line that begins with {@code FINIS.} ends the play; it and what follows are dropped;
 *   <li>lines end in \n whatever they ended in, white space before it is cut off, several blank
 *       lines become one, and a scene neither begins nor ends with one;
 *   <li>every fifth scene (the 5th, the 10th, …) is for validation;
 *   <li>both files are in the order of the play.
 * </ol>
 */
public final class MacbethScenes {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final String PLAY = "shakes.txt";

  /** One scene in this many is held out. With fewer scenes, none would be. */
  private static final int HOLD_OUT = 5;

  /** The compositors of the Folio spelled as they pleased. */
  private static final Pattern HEADING =
      Pattern.compile("(Actus \\p{Alpha}+\\. )?Sc(e|ae|oe)na \\p{Alpha}+\\.");

  private static final String END = "FINIS.";

  private MacbethScenes() {}

  /** A line of the files written: a scene, its heading first. */
  record Row(String text) {}

  /**
   * Writes {@code train.jsonl} and {@code validation.jsonl}, rows {@code {"text"}}: 22 and 5 of
   * them from the published jar.
   *
   * @param jar org.apache.crunch:crunch-test
   * @param folder made if it is not there
   * @throws InvalidInput if the jar lacks the play, or that has no end or fewer than five scenes
   */
  public static void write(Path jar, Path folder) {
    try (ArtifactJar artifact = new ArtifactJar(jar);
        BufferedReader play =
            new BufferedReader(
                new InputStreamReader(artifact.open(PLAY), StandardCharsets.UTF_8))) {
      List<Row> train = new ArrayList<>();
      List<Row> validation = new ArrayList<>();
      int number = 0;
      for (Row scene : scenes(play, artifact.where(PLAY))) {
        number++;
        (number % HOLD_OUT == 0 ? validation : train).add(scene);
      }
      Files.createDirectories(folder);
      write(folder.resolve("train.jsonl"), train);
      write(folder.resolve("validation.jsonl"), validation);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot import " + jar + " into " + folder, e);
    }
  }

  /** Steps 1 to 3. */
  private static List<Row> scenes(BufferedReader play, String where) throws IOException {
    List<StringBuilder> scenes = new ArrayList<>();
    boolean blank = false;
    String line = play.readLine();
    for (; line != null && !line.startsWith(END); line = play.readLine()) {
      String text = line.stripTrailing();
      if (HEADING.matcher(text).matches()) {
        scenes.add(new StringBuilder(text));
      } else if (!text.isEmpty() && !scenes.isEmpty()) {
        scenes.get(scenes.size() - 1).append(blank ? "\n\n" : "\n").append(text);
      }
      blank = text.isEmpty();
    }
    if (line == null) {
      throw new InvalidInput(
          where, "has no line that begins with " + END, "is it cut off, or not the play?");
    }
    if (scenes.size() < HOLD_OUT) {
      throw new InvalidInput(
          where,
          "has " + scenes.size() + " scene headings",
          "expected at least " + HOLD_OUT + ", such as 'Scena Secunda.': is it the play?");
    }
    return scenes.stream().map(scene -> new Row(scene.toString())).toList();
  }

  private static void write(Path file, List<Row> scenes) throws IOException {
    try (BufferedWriter out = Files.newBufferedWriter(file)) {
      for (Row scene : scenes) {
        out.write(JSON.writeValueAsString(scene));
        out.write('\n');
      }
    }
  }
}
