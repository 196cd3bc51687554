package dev.kindling.job;

import dev.kindling.InvalidInput;
import dev.kindling.export.PeftWriter;
import dev.kindling.job.storage.Location;
import dev.kindling.job.storage.NewFile;
import dev.kindling.job.storage.StorageFailed;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** The folder that export and merge write: new, or gone again if that fails. */
final class NewFolder {
  /** Writes it. */
  interface Writer {
    void write(PeftWriter.Files files) throws IOException;
  }

  private NewFolder() {}

  /**
   * Has a folder written.
   *
   * @param key of the configuration that names it
   * @throws InvalidInput if something is there already
   */
  static void write(String key, String to, Configuration hadoop, Writer writer) {
    Location place = new Location(key, to);
    Path folder = place.writable();
    try {
      FileSystem files = place.files(hadoop);
      if (files.exists(folder) && files.listStatus(folder).length > 0) {
        throw new InvalidInput(
            key + " " + to, "is not empty", "name a new folder, or empty this one");
      }
      files.mkdirs(folder);
      try {
        writer.write(name -> NewFile.at(files, new Path(folder, name)));
      } catch (IOException | RuntimeException | Error e) {
        files.delete(folder, true);
        throw e;
      }
    } catch (IOException e) {
      throw new StorageFailed(key + " " + to, e);
    }
  }

  /** Copies what a folder holds besides weights: tokenizers and the like. */
  static void copyOthers(java.nio.file.Path from, PeftWriter.Files files) throws IOException {
    List<java.nio.file.Path> all;
    try (var listed = Files.list(from)) {
      all = listed.filter(Files::isRegularFile).sorted().toList();
    }
    for (java.nio.file.Path file : all) {
      String name = String.valueOf(file.getFileName());
      if (!name.matches(
          "config\\.json|.*\\.index\\.json|.*\\.(safetensors|bin|pt|pth|h5|msgpack|onnx)")) {
        try (OutputStream out = files.create(name)) {
          Files.copy(file, out);
        }
      }
    }
  }
}
