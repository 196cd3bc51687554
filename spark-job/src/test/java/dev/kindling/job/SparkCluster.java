package dev.kindling.job;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A real standalone cluster on loopback: a master and workers of one core each, every one a JVM of
 * its own, from the embedded Spark's jars.
 */
final class SparkCluster implements AutoCloseable {
  private static final Path SPARK_HOME =
      Path.of("../submit/embedded-spark/target/spark-home").toAbsolutePath().normalize();

  /** Of executors too, which else log each task of a step. */
  private static final Path LOGGING = Path.of("../conf/log4j2.xml").toAbsolutePath().normalize();

  private static final Pattern MASTER = Pattern.compile("Starting Spark master at (spark://\\S+)");
  private static final Pattern REGISTERED = Pattern.compile("Successfully registered with master");

  /** The master, and the workers by age. */
  private final List<Process> processes = new ArrayList<>();

  private final Path folder;
  private final String master;
  private int started;

  SparkCluster(int workers, Path folder) throws Exception {
    this.folder = folder;
    master =
        start(MASTER, "master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0");
    refill(workers);
  }

  /** Workers in the place of those that are gone. */
  void refill(int workers) throws Exception {
    processes.removeIf(process -> !process.isAlive());
    while (processes.size() <= workers) {
      addWorker();
    }
  }

  /** One more worker, of one core. */
  void addWorker() throws Exception {
    start(
        REGISTERED,
        "worker.Worker",
        "--host",
        "127.0.0.1",
        "--cores",
        "1",
        "--memory",
        "2g",
        "--webui-port",
        "0",
        "--work-dir",
        folder.resolve("work" + started++).toString(),
        master);
  }

  /** SIGKILL to the worker that has been there longest, and to its executor: a machine is gone. */
  void killWorker() {
    Process worker = processes.remove(1);
    List<ProcessHandle> executors = worker.descendants().toList();
    worker.destroyForcibly();
    executors.forEach(ProcessHandle::destroyForcibly);
  }

  /** URL for {@code --master}. */
  String master() {
    return master;
  }

  /** spark-submit's options for an executor of one core on each of two workers. */
  List<String> options(String executorMemory) {
    return List.of(
        "--master",
        master,
        "--executor-memory",
        executorMemory,
        "--executor-cores",
        "1",
        "--conf",
        "spark.scheduler.minRegisteredResourcesRatio=1",
        "--conf",
        "spark.scheduler.maxRegisteredResourcesWaitingTime=180s", // other tests beside it
        "--conf",
        "spark.executor.extraJavaOptions=-Dlog4j2.configurationFile=file:" + LOGGING,
        "--total-executor-cores",
        "2");
  }

  /** SIGKILL to so many executors; returns how many there were of them. */
  int killExecutors(int count) {
    return Running.killExecutors(processes.stream().flatMap(Process::descendants), count);
  }

  /** Starts a daemon; returns the first group of the line that says it is ready. */
  private String start(Pattern ready, String main, String... arguments) throws Exception {
    Path logging = folder.resolve("log4j2.properties");
    Files.writeString(
        logging,
        """
        rootLogger.level = info
        rootLogger.appenderRef.out.ref = out
        appender.out.type = Console
        appender.out.name = out
        appender.out.layout.type = PatternLayout
        appender.out.layout.pattern = %m%n
        """);
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx256m"));
    for (String opened : List.of("lang", "lang.invoke", "io", "net", "nio", "util")) {
      command.add("--add-opens=java.base/java." + opened + "=ALL-UNNAMED");
    }
    command.addAll(
        List.of(
            "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
            "-Dlog4j2.configurationFile=file:" + logging,
            "-cp",
            SPARK_HOME + "/jars/*",
            "org.apache.spark.deploy." + main));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("SPARK_HOME", SPARK_HOME.toString());
    builder.environment().put("SPARK_LOCAL_IP", "127.0.0.1");
    builder.environment().put("SPARK_SCALA_VERSION", "2.12");
    SharedClasses.share(builder);
    Process process = builder.start();
    processes.add(process);
    return Daemon.ready(process, ready);
  }

  @Override
  public void close() {
    for (Process process : processes) {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
  }
}
