package dev.kindling.job;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** The launcher script under way in a process of its own, to be disturbed. */
final class Running implements AutoCloseable {
  /** In the environment: the job's jar is sent to executors, as it is to a user's. */
  static final Map<String, String> SENDS_THE_JAR = Map.of("KINDLING_JAR", "");

  private static final Path HOME = Path.of("..").toAbsolutePath().normalize();
  private static final Path JAR = HOME.resolve("spark-job/target/kindling.jar");
  private static final int PATIENCE_SECONDS = 300;

  private final Process process;
  private final Path out;
  private final Path err;

  private Running(Process process, Path out, Path err) {
    this.process = process;
    this.out = out;
    this.err = err;
  }

  /**
   * Starts {@code submit/kindling} with the embedded Spark. Executors find the job's jar where it
   * lies: to fetch 163 MB takes each of them two to three seconds of processor time.
   */
  static Running kindling(List<String> arguments) {
    return kindling(arguments, Map.of());
  }

  static Running kindling(List<String> arguments, Map<String, String> environment) {
    List<String> command = new ArrayList<>(List.of(HOME.resolve("submit/kindling").toString()));
    command.addAll(arguments);
    try {
      Path out = Files.createTempFile("kindling-out", ".json");
      Path err = Files.createTempFile("kindling-err", ".log");
      ProcessBuilder builder =
          new ProcessBuilder(command)
              .redirectOutput(out.toFile())
              .redirectError(err.toFile())
              .redirectInput(Path.of("/dev/null").toFile());
      builder.environment().remove("SPARK_HOME");
      if (!environment.containsKey("SPARK_HOME")) {
        builder.environment().put("KINDLING_JAR", "local:" + JAR);
      }
      SharedClasses.share(builder);
      builder.environment().putAll(environment);
      return new Running(builder.start(), out, err);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Waits until so many steps have been committed. */
  void awaitSteps(Path output, int steps) throws Exception {
    await(output, () -> lines(output) >= steps);
  }

  /** Waits until so many more steps have been committed, or the end of it: false then. */
  boolean goesOn(Path output, int more) throws Exception {
    long steps = lines(output) + more;
    await(output, () -> lines(output) >= steps || !process.isAlive());
    return process.isAlive();
  }

  /** Waits until there is such a file. */
  void awaitFile(Path file) throws Exception {
    await(file.getParent(), () -> Files.exists(file));
  }

  /** Looks again whenever something happens in the folder, or on the way to it. */
  private void await(Path folder, Callable<Boolean> condition) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
    Path watched = null;
    try (WatchService watch = FileSystems.getDefault().newWatchService()) {
      while (!condition.call()) {
        Path existing = folder;
        while (!Files.isDirectory(existing)) {
          existing = existing.getParent();
        }
        if (!existing.equals(watched)) {
          existing.register(
              watch, StandardWatchEventKinds.ENTRY_CREATE, StandardWatchEventKinds.ENTRY_MODIFY);
          watched = existing;
          continue; // for what came before the watch
        }
        WatchKey key = watch.poll(1, TimeUnit.SECONDS); // a process that ends is no event
        boolean over = System.nanoTime() > deadline || !process.isAlive();
        if (over && !condition.call()) {
          throw new IllegalStateException("it never happened:\n" + Files.readString(err));
        }
        if (key != null) {
          key.pollEvents();
          key.reset();
        }
      }
    }
  }

  private static long lines(Path output) throws IOException {
    Path metrics = output.resolve("metrics.jsonl");
    if (!Files.exists(metrics)) {
      return 0;
    }
    try (var lines = Files.lines(metrics)) {
      return lines.count();
    }
  }

  /** SIGKILL to some of the executors below, and how many there were of as many. */
  static int killExecutors(Stream<ProcessHandle> below, int count) {
    List<ProcessHandle> executors =
        below
            .filter(p -> p.info().commandLine().orElse("").contains("CoarseGrainedExecutorBackend"))
            .limit(count)
            .toList();
    executors.forEach(ProcessHandle::destroyForcibly);
    return executors.size();
  }

  /** Of a cluster within the run's own process. */
  int killExecutors(int count) {
    return killExecutors(process.descendants(), count);
  }

  /** SIGKILL to the JVM that drives the job. */
  void killDriver() {
    process
        .descendants()
        .filter(
            p -> p.info().commandLine().orElse("").contains("org.apache.spark.deploy.SparkSubmit"))
        .forEach(ProcessHandle::destroyForcibly);
  }

  /** SIGTERM to the launcher, as a scheduler sends it. */
  void terminate() {
    process.destroy();
  }

  /** How it ended. */
  Launched end() throws Exception {
    return end(PATIENCE_SECONDS / 60);
  }

  /** How it ended, within so many minutes. */
  Launched end(int minutes) throws Exception {
    if (!process.waitFor(minutes, TimeUnit.MINUTES)) {
      throw new IllegalStateException("still running:\n" + Files.readString(err));
    }
    return new Launched(process.exitValue(), Files.readString(out), Files.readString(err));
  }

  @Override
  public void close() throws IOException {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
    Files.delete(out);
    Files.delete(err);
  }
}
