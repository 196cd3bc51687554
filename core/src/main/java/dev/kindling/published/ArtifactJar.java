package dev.kindling.published;

import dev.kindling.InvalidInput;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** A jar that is read for the data files in it. */
final class ArtifactJar implements AutoCloseable {
  private final Path path;
  private final ZipFile zip;

  /**
   * Opens a jar.
   *
   * @throws InvalidInput if it is missing or no jar
   */
  ArtifactJar(Path path) {
    this.path = path;
    try {
      zip = new ZipFile(path.toFile());
    } catch (IOException e) {
      throw new InvalidInput(
          path.toString(), "cannot be opened as a jar: " + e.getMessage(), "fetch it again");
    }
  }

  /**
   * A stream over one entry, to be closed by the caller.
   *
   * @throws InvalidInput if the jar has no such entry
   */
  InputStream open(String entry) throws IOException {
    ZipEntry found = zip.getEntry(entry);
    if (found == null) {
      throw new InvalidInput(
          path.toString(), "has no entry " + entry, "is it the artifact of this version?");
    }
    return zip.getInputStream(found);
  }

  /** For messages: jar and entry. */
  String where(String entry) {
    return path + "!/" + entry;
  }

  @Override
  public void close() throws IOException {
    zip.close();
  }
}
