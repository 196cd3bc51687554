package dev.kindling.job;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * What launched JVMs load of Spark and Hadoop, checked and laid out once for all of a build (class
 * data sharing): a small run takes 13 seconds of CPU time instead of 20.
 */
final class SharedClasses {
  private static final Path HOME = Path.of("..").toAbsolutePath().normalize();
  private static final Path JARS = HOME.resolve("submit/embedded-spark/target/spark-home/jars");
  private static final Path TARGET = Path.of("target").toAbsolutePath();
  private static final Path ARCHIVE = TARGET.resolve("spark-classes.jsa");

  private static final String VARIABLE = "JDK_JAVA_OPTIONS";

  /** What does not fit the archive, another class path say, is no news. */
  private static final String OPTIONS =
      " -XX:SharedArchiveFile=\"" + ARCHIVE + "\" -Xlog:disable -Xlog:all=error:stderr";

  /** In the options of what is timed, which begins as a user's run does. */
  private static final String TIMED = "TieredStopAtLevel=4";

  /** Whether this process has tried, which it does once. */
  private static boolean tried;

  private SharedClasses() {}

  /** Has the JVMs of a process use them, unless it is timed or another process makes them. */
  static void share(ProcessBuilder builder) throws IOException {
    String given = builder.environment().getOrDefault(VARIABLE, "");
    if (!given.contains(TIMED) && ready()) {
      builder.environment().put(VARIABLE, given + OPTIONS);
    }
  }

  private static synchronized boolean ready() throws IOException {
    if (fresh()) {
      return true;
    }
    try (FileChannel channel =
            FileChannel.open(
                TARGET.resolve("spark-classes.lock"),
                StandardOpenOption.CREATE,
                StandardOpenOption.WRITE);
        FileLock lock = channel.tryLock()) {
      if (lock == null) {
        return false;
      }
      if (!fresh() && !tried) {
        tried = true;
        make();
      }
      return fresh();
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  private static boolean fresh() throws IOException {
    return Files.exists(ARCHIVE)
        && Files.getLastModifiedTime(ARCHIVE).compareTo(Files.getLastModifiedTime(JARS)) > 0;
  }

  /** A small run, whose classes are written as it ends; where that fails there is no archive. */
  private static void make() throws IOException {
    Path folder = Files.createTempDirectory(TARGET, "spark-classes");
    Path written = folder.resolve("classes.jsa");
    List<String> command = new ArrayList<>();
    command.add(HOME.resolve("submit/kindling").toString());
    command.addAll(List.of("--master", "local[1]", "--conf"));
    command.add(
        "spark.driver.extraJavaOptions=-Dlog4j2.configurationFile=file:"
            + HOME.resolve("conf/log4j2.xml")
            + " -XX:ArchiveClassesAtExit="
            + written);
    command.addAll(GoldenFolder.copy("llama-gqa", folder).train(folder.resolve("out")));
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("log").toFile())
            .redirectInput(Path.of("/dev/null").toFile());
    builder.environment().remove("SPARK_HOME");
    Process process = builder.start();
    try {
      if (process.waitFor(5, TimeUnit.MINUTES) && Files.exists(written)) {
        Files.move(written, ARCHIVE, StandardCopyOption.ATOMIC_MOVE);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
  }
}
