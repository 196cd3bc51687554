package dev.kindling.job.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.job.EvaluateJob;
import dev.kindling.job.ExplainJob;
import dev.kindling.job.ExportJob;
import dev.kindling.job.FineTuneJob;
import dev.kindling.job.GenerateJob;
import dev.kindling.job.MergeJob;
import dev.kindling.job.SizesJob;
import dev.kindling.job.VerifyJob;
import dev.kindling.job.averaging.ArrayRegistrator;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.JobConfig.Command;
import dev.kindling.job.gpu.GpuRequest;
import dev.kindling.job.report.FinishedRun;
import dev.kindling.job.report.Outcome;
import dev.kindling.job.resume.Stop;
import dev.kindling.tensor.load.Engine;
import dev.kindling.tensor.load.GpuEngine;
import java.io.IOException;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.SparkHadoopUtil;
import org.apache.spark.sql.SparkSession;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;

/**
 * Main class of the job. stdout carries exactly one JSON object; whatever else is printed, by us or
 * by a library, goes to stderr.
 */
public final class Kindling {
  /**
   * What a broadcast is cut into: 16 MiB less a page. Of arrays of 16 MiB each takes one of G1's
   * regions more than it fills, for its header.
   */
  private static final String BLOCK = "16380k";

  private Kindling() {}

  /** Runs a command and ends the JVM with one of the documented exit codes. */
  public static void main(String[] args) {
    PrintStream stdout = System.out;
    System.setOut(System.err);
    int code = run(args, stdout, new Stop(true));
    stdout.flush();
    boolean onCluster = "cluster".equals(System.getProperty("spark.submit.deployMode"));
    if (code == 0 && onCluster) {
      return; // YARN takes a driver that exits by itself for one that failed
    }
    System.exit(code);
  }

  /** Runs a command; returns the exit code. */
  static int run(String[] args, PrintStream stdout, Stop stop) {
    Arguments arguments = new Arguments();
    try {
      CommandLine line = new CommandLine(arguments);
      parse(line, args);
      if (arguments.help) {
        line.usage(System.err);
      } else if (arguments.outcome) {
        return outcome(arguments, stdout);
      } else {
        stdout.println(output(arguments, stop));
      }
      return ExitCode.DONE.code();
    } catch (Throwable e) { // an OutOfMemoryError too must end in one object on stdout
      Throwable cause = ExitCode.cause(e);
      ExitCode code = ExitCode.of(cause);
      report(cause, code, arguments.debug ? e : null);
      ObjectNode said = code.json(cause);
      stdout.println(said);
      if (arguments.submission != null && arguments.resolved != null && !arguments.outcome) {
        keep(said, arguments);
      }
      return code.code();
    }
  }

  private static Outcome outcome(Arguments arguments) throws IOException {
    Configuration hadoop = SparkHadoopUtil.get().newConfiguration(new SparkConf());
    JobConfig config = JobConfig.of(arguments.source(), Command.TRAIN);
    return Outcome.of(config, String.valueOf(arguments.submission), hadoop);
  }

  /**
   * In cluster mode the outcome will be read from here: hours later is too late to find out. Nor
   * could a driver that is refused the folder say so there.
   */
  private static void requireReachable(Arguments arguments) {
    try {
      Outcome outcome = outcome(arguments);
      outcome.read();
      outcome.place().requireFree();
    } catch (ConfigProblems e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      throw new ConfigProblems(
          List.of(
              "output cannot be read from this machine, where the outcome is to be told: "
                  + e.getMessage()
                  + "; set HADOOP_CONF_DIR, or --conf spark.hadoop.… on the command line"));
    }
  }

  /** Tells what the driver would have told, had it been here. */
  private static int outcome(Arguments arguments, PrintStream stdout) throws IOException {
    Optional<ObjectNode> said = outcome(arguments).read();
    said.ifPresent(stdout::println);
    return said.map(node -> node.at("/error/exitCode").asInt(0)).orElse(ExitCode.UNEXPECTED.code());
  }

  /** For the submitter, who does not see this stdout. */
  private static void keep(ObjectNode said, Arguments arguments) {
    try {
      if (!outcome(arguments).failed(said)) {
        System.err.println(
            "kindling: output holds a result, or is no folder of ours: told here alone");
      }
    } catch (IOException | RuntimeException e) {
      System.err.println("kindling: the failure could not be kept beside the result: " + e);
    }
  }

  private static void parse(CommandLine line, String[] args) {
    try {
      line.parseArgs(args);
    } catch (CommandLine.ParameterException e) {
      throw new ConfigProblems(List.of(e.getMessage() + " (kindling --help shows the usage)"));
    }
  }

  private static String output(Arguments arguments, Stop stop) throws IOException {
    ConfigSource source = arguments.source();
    Command command = arguments.parsed();
    boolean kept = Arguments.namesAResult(command, source);
    if (arguments.resolveOnly) {
      if (!kept && command != Command.VERIFY) {
        JobConfig.of(source, command); // what is wrong is said where the job is submitted
      }
      if (arguments.submission != null) {
        requireReachable(arguments);
      }
      return source.encode();
    }
    if (command == Command.VERIFY) {
      return VerifyJob.run(SparkHadoopUtil.get().newConfiguration(settings(command)), source)
          .toString();
    }
    if (kept) {
      Configuration hadoop = SparkHadoopUtil.get().newConfiguration(settings(command));
      String output = source.user().getString("output");
      source = source.over(FinishedRun.config(output, hadoop));
      if (Arguments.makes(command)) {
        source = source.with("adapter.init-from", output + "/adapter");
      }
    }
    return run(JobConfig.of(source, command), command, stop, arguments).toString();
  }

  private static ObjectNode run(JobConfig config, Command command, Stop stop, Arguments arguments)
      throws IOException {
    Configuration hadoop = SparkHadoopUtil.get().newConfiguration(settings(command));
    switch (command) { // what needs no executor
      case GENERATE -> {
        return GenerateJob.run(hadoop, config, System.err);
      }
      case EXPORT -> {
        return ExportJob.run(hadoop, config);
      }
      case MERGE -> {
        return MergeJob.run(hadoop, config);
      }
      default -> {}
    }
    SparkConf conf = settings(command);
    if (config.sync().averages()) { // ND4J's arrays travel
      String known = conf.get("spark.kryo.registrator", "");
      String arrays = ArrayRegistrator.class.getName();
      conf.set("spark.kryo.registrator", known.isEmpty() ? arrays : known + "," + arrays);
    }
    Engine engine = config.compute().choose().engine();
    if (engine.gpu()) { // before anything is started that would wait for what cannot come
      GpuEngine.of(engine);
      GpuRequest request = new GpuRequest(conf);
      if (arguments.sizes) { // of another cluster
        request.checkCounting();
      } else {
        request.check(engine.spelled());
      }
    }
    SparkSession session = SparkSession.builder().config(conf).getOrCreate();
    if (command == Command.TRAIN) {
      stop.listen();
      if (!session.sparkContext().isLocal()) { // whose tasks would outlive it in this process
        stop.hurry(() -> session.sparkContext().cancelAllJobs());
      }
    }
    try {
      return switch (command) {
        case TRAIN -> {
          boolean terminal = System.getenv("KINDLING_TERMINAL") != null;
          yield new FineTuneJob(session, config, terminal, stop, arguments.submission).run();
        }
        case EXPLAIN ->
            arguments.sizes ? SizesJob.run(session, config) : ExplainJob.run(session, config);
        case EVALUATE -> EvaluateJob.run(session, config);
        case GENERATE, EXPORT, MERGE, VERIFY ->
            throw new IllegalStateException(command + " needs no session");
      };
    } finally {
      session.stop();
    }
  }

  /** Defaults that suit short stages and large frozen broadcasts; what the user set stays. */
  private static SparkConf settings(Command command) {
    SparkConf conf = new SparkConf();
    if (!conf.contains("spark.app.name") || conf.get("spark.app.name").contains("dev.kindling")) {
      conf.setAppName("kindling " + command.name().toLowerCase(Locale.ROOT));
    }
    conf.setIfMissing("spark.serializer", "org.apache.spark.serializer.KryoSerializer");
    // A step is a stage of a second or less: waiting 3 s for a better place costs more than moving.
    conf.setIfMissing("spark.locality.wait", "0");
    // Weights do not compress; large blocks cost fewer round trips (1.6 GB to two executors: 33 s).
    conf.setIfMissing("spark.broadcast.compress", "false");
    conf.setIfMissing("spark.broadcast.blockSize", BLOCK);
    conf.setIfMissing("spark.ui.showConsoleProgress", "false");
    // A step's results are 8 bytes per trainable and task, whatever the data: no reason for a
    // limit.
    conf.setIfMissing("spark.driver.maxResultSize", "0");
    return conf;
  }

  /** Tells a failure, and where it came about if that is given. */
  private static void report(Throwable failure, ExitCode code, @Nullable Throwable trace) {
    System.err.println(
        "kindling: " + code.name().toLowerCase(Locale.ROOT).replace('_', ' ') + " error");
    ExitCode.messages(failure).forEach(message -> System.err.println("  " + message));
    if (trace != null) {
      trace.printStackTrace();
    } else if (code == ExitCode.UNEXPECTED) {
      System.err.println("  (--debug after the command shows the stack trace)");
    }
  }
}
