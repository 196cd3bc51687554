package dev.kindling.job.storage;

import dev.kindling.InvalidInput;
import java.io.IOException;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FileUtil;
import org.apache.hadoop.fs.LocalFileSystem;

/**
 * A path, Hadoop URI or published artifact that the user named. Without a scheme it is a file of
 * this machine, whatever the cluster's default file system is.
 *
 * @param key the configuration key, for messages
 * @param text as the user wrote it
 */
public record Location(String key, String text) {
  /**
   * What is read of a folder of Hugging Face's or PEFT's, or goes with it: tokenizers, templates.
   */
  private static final Pattern WANTED = Pattern.compile(".*\\.(json|safetensors|txt|model|jinja)");

  /** Names a table or view of Spark's catalog. */
  public static final String TABLE = "table:";

  private static final String MAVEN = "maven:";

  /** Whether it says where it is; without a scheme it is a file of this machine. */
  public boolean hasScheme() {
    return text.matches("^[A-Za-z][A-Za-z0-9+.-]*:.*");
  }

  private boolean local() {
    return text.startsWith("file:") || !hasScheme();
  }

  private Path localPath() {
    String path = text.startsWith("file:") ? text.replaceFirst("^file:(//(?=/))?", "") : text;
    return Path.of(path).toAbsolutePath().normalize();
  }

  /** The same place whatever folder it is looked at from. */
  public String absolute() {
    return local() ? localPath().toString() : text;
  }

  /**
   * A folder on this machine's disk.
   *
   * @param copied whether it is a copy, which goes when it is closed
   */
  public record Fetched(Path folder, boolean copied) implements AutoCloseable {
    @Override
    public void close() {
      if (copied) {
        FileUtil.fullyDelete(folder.toFile());
      }
    }
  }

  /**
   * The folder on this machine's disk, fetched if need be. Remote folders are copied to a temporary
   * place that goes when the JVM does.
   *
   * @throws InvalidInput if there is no such folder
   */
  public Path folder(Configuration hadoop) {
    Fetched fetched = fetch(hadoop);
    if (fetched.copied()) {
      Runtime.getRuntime().addShutdownHook(new Thread(fetched::close));
    }
    return fetched.folder();
  }

  /**
   * The same, where a copy of what is remote goes as soon as it is closed.
   *
   * @throws InvalidInput if there is no such folder
   */
  public Fetched fetch(Configuration hadoop) {
    if (text.startsWith(MAVEN)) {
      return new Fetched(Artifacts.folder(text.substring(MAVEN.length())), false);
    }
    if (local()) {
      Path path = localPath();
      if (!Files.isDirectory(path)) {
        throw new InvalidInput(key + " " + text, "is not a folder", "expected one at " + path);
      }
      return new Fetched(path, false);
    }
    return new Fetched(download(hadoop), true);
  }

  private Path download(Configuration hadoop) {
    try {
      org.apache.hadoop.fs.Path remote = new org.apache.hadoop.fs.Path(text);
      FileSystem files = remote.getFileSystem(hadoop);
      if (!files.exists(remote) || !files.getFileStatus(remote).isDirectory()) {
        throw new InvalidInput(key + " " + text, "is not a folder", "expected a folder there");
      }
      Path folder = Files.createTempDirectory("kindling-");
      try {
        for (FileStatus file : files.listStatus(remote)) {
          String name = file.getPath().getName();
          if (file.isFile() && WANTED.matcher(name).matches()) {
            FileUtil.copy(files, file.getPath(), folder.resolve(name).toFile(), false, hadoop);
          }
        }
        return folder;
      } catch (IOException | RuntimeException e) {
        FileUtil.fullyDelete(folder.toFile()); // half a copy, which the next attempt needs room for
        throw e;
      }
    } catch (IOException | RuntimeException e) {
      throw unreadable(e);
    }
  }

  /**
   * What Spark can read.
   *
   * @throws InvalidInput if there is no such file or folder
   */
  public String readable(Configuration hadoop) {
    if (text.startsWith(MAVEN)) {
      int slash = text.indexOf('/');
      if (slash < 0) {
        throw new InvalidInput(
            key + " " + text, "names no file", "expected maven:GROUP:ARTIFACT:VERSION/FILE");
      }
      Path file =
          Artifacts.folder(text.substring(MAVEN.length(), slash))
              .resolve(text.substring(slash + 1));
      return new Location(key, file.toString()).readable(hadoop);
    }
    String uri = local() ? localPath().toUri().toString() : text;
    try {
      org.apache.hadoop.fs.Path path =
          new org.apache.hadoop.fs.Path(local() ? localPath().toString() : text);
      FileSystem files = local() ? FileSystem.getLocal(hadoop) : path.getFileSystem(hadoop);
      FileStatus[] found = files.globStatus(path);
      if (found == null || found.length == 0) {
        throw new InvalidInput(
            key + " " + text, "does not exist", "expected a file or folder there");
      }
      return local() ? "file:" + localPath() : uri;
    } catch (IOException | RuntimeException e) {
      throw unreadable(e);
    }
  }

  /** Hadoop's file systems throw unchecked exceptions too, for hosts and schemes that are not. */
  private InvalidInput unreadable(Exception e) {
    return e instanceof InvalidInput ours
        ? ours
        : new InvalidInput(
            key + " " + text,
            "cannot be read: " + reason(e),
            "check address, scheme and credentials");
  }

  private static String reason(Throwable e) {
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    String said = String.valueOf(root.getMessage());
    return root instanceof UnknownHostException ? "unknown host " + said : said;
  }

  /** The file system of {@link #writable}; a local one leaves no .crc files. */
  public FileSystem files(Configuration hadoop) throws IOException {
    FileSystem files = writable().getFileSystem(hadoop);
    return files instanceof LocalFileSystem local ? local.getRaw() : files;
  }

  /** A Hadoop path for writing. */
  public org.apache.hadoop.fs.Path writable() {
    return new org.apache.hadoop.fs.Path(local() ? "file:" + localPath() : text);
  }
}
