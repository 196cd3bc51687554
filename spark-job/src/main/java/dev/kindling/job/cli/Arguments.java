package dev.kindling.job.cli;

import com.typesafe.config.ConfigValueType;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.config.JobConfig.Command;
import dev.kindling.job.storage.Location;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code COMMAND [CONFIG.conf] [key=value …]}, or the same already resolved by the launcher. */
@CommandLine.Command(
    name = "kindling",
    description = "Distributed LoRA fine-tuning on Apache Spark.",
    footer = {
      "",
      "Commands: train, explain, evaluate, generate, export, merge, verify. Keys: conf/reference.conf.",
      "spark-submit options go before the command (--sized: memory as the run needs it):",
      "  kindling --master spark://host:7077 train job.conf output=hdfs:///adapters/a"
    })
final class Arguments {
  private static final List<String> PATHS =
      List.of("base.path", "adapter.init-from", "data.train", "data.validation", "output", "to");

  @Parameters(
      index = "0",
      paramLabel = "COMMAND",
      description = "train | explain | evaluate | generate | export | merge | verify")
  String command = "";

  @Parameters(
      index = "1..*",
      paramLabel = "CONFIG.conf | key=value",
      description = "One configuration file at most, and overrides; the last duplicate counts.")
  List<String> rest = new ArrayList<>();

  @Option(names = "--debug", description = "Show stack traces.")
  boolean debug;

  @Option(names = "--resolved", hidden = true)
  @Nullable String resolved;

  @Option(names = "--resolve-only", hidden = true)
  boolean resolveOnly;

  /** In cluster mode: which submission this is, so that its outcome is not taken for another's. */
  @Option(names = "--submission", hidden = true)
  @Nullable String submission;

  /** Tells how the submission ended, from its result folder. */
  @Option(names = "--outcome", hidden = true)
  boolean outcome;

  /** With explain: nothing but what a cluster is to be asked for. */
  @Option(names = "--sizes", hidden = true)
  boolean sizes;

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this.")
  boolean help;

  /** The command word. */
  Command parsed() {
    for (Command known : Command.values()) {
      if (known.name().toLowerCase(Locale.ROOT).equals(command)) {
        return known;
      }
    }
    throw new ConfigProblems(
        List.of(
            "'"
                + command
                + "' is no command: expected train, explain, evaluate, generate, export, merge or"
                + " verify"));
  }

  /** What the user gave, read here or where the job was submitted. */
  ConfigSource source() {
    if (resolved != null) {
      return ConfigSource.decode(resolved);
    }
    List<String> files = rest.stream().filter(a -> !a.matches("[A-Za-z][\\w.-]*=(?s:.*)")).toList();
    if (parsed() == Command.VERIFY) { // a folder, with or without its key
      return absolute(
          ConfigSource.read(
              Optional.empty(),
              rest.stream().map(a -> files.contains(a) ? "output=" + a : a).toList()));
    }
    if (files.size() > 1) {
      throw new ConfigProblems(
          List.of("one configuration file at most, not " + String.join(" and ", files)));
    }
    List<String> overrides = rest.stream().filter(a -> !files.contains(a)).toList();
    ConfigSource source = ConfigSource.read(files.stream().findFirst().map(Path::of), overrides);
    if (submission != null) {
      refuseThisMachinesFiles(source);
    }
    return absolute(source);
  }

  /** In cluster mode the driver is not here. */
  private void refuseThisMachinesFiles(ConfigSource source) {
    if (parsed() != Command.TRAIN) {
      throw new ConfigProblems(
          List.of(
              command
                  + " prints its result: it needs --deploy-mode client, in which the driver is"
                  + " here"));
    }
    List<String> problems = new ArrayList<>();
    for (String key : PATHS) {
      String path = source.user().hasPath(key) ? source.user().getString(key) : "";
      if (!path.isEmpty() && !new Location(key, path).hasScheme()) {
        problems.add(
            key
                + " "
                + path
                + " is a file of this machine, and in cluster mode the driver runs on another:"
                + " use hdfs:// or s3a://, or file: for a folder that all machines mount");
      }
    }
    ConfigProblems.check(problems);
  }

  /** Whether the run that is meant is the one that output holds: {@code explain output=…}. */
  static boolean namesAResult(Command command, ConfigSource source) {
    return (command == Command.EXPLAIN || makes(command))
        && source.user().hasPath("output")
        && !source.user().hasPath("base.path");
  }

  /** Whether it makes something of a finished run. */
  static boolean makes(Command command) {
    return command == Command.EXPORT || command == Command.MERGE;
  }

  /** A relative path means the folder where the job is submitted, wherever its driver runs. */
  private static ConfigSource absolute(ConfigSource source) {
    ConfigSource absolute = source;
    for (String key : PATHS) {
      boolean text =
          source.user().hasPath(key)
              && source.user().getValue(key).valueType() == ConfigValueType.STRING
              && !source.user().getString(key).isBlank();
      if (text) {
        absolute = absolute.with(key, new Location(key, source.user().getString(key)).absolute());
      }
    }
    return absolute;
  }
}
