package dev.kindling.job.config;

import com.typesafe.config.Config;
import dev.kindling.lora.TargetModules;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.Schedule;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** A valid configuration: one record per concern. Keys, units and defaults: conf/reference.conf. */
public record JobConfig(
    ConfigSource source,
    String basePath,
    Task task,
    Adapter adapter,
    Data data,
    Optional<Training> training,
    Compute compute,
    Optional<Output> output) {
  /** What is learned. */
  public enum Task {
    AUTO,
    SEQUENCE_CLASSIFICATION,
    CAUSAL_LM
  }

  /** What rows look like. */
  public enum Format {
    AUTO,
    TOKENS,
    CLASSIFICATION,
    TEXT,
    PROMPT_COMPLETION
  }

  /** The commands that read a configuration. */
  public enum Command {
    TRAIN,
    EVALUATE
  }

  /** What to do with an output folder that exists. */
  public enum OutputMode {
    RESUME,
    OVERWRITE
  }

  /** Engines. */
  public enum BackendName {
    AUTO,
    ND4J
  }

  /** Precisions of the computation. */
  public enum Precision {
    FP32
  }

  /**
   * The adapter to make, or to continue.
   *
   * @param userSet keys under {@code adapter} that the user set, which an imported folder must
   *     agree with
   */
  public record Adapter(
      int r,
      double alpha,
      double dropout,
      TargetModules targets,
      Optional<List<String>> modulesToSave,
      Optional<String> initFrom,
      List<String> userSet) {}

  /** Rows and their order. */
  public record Data(
      Optional<String> train,
      Optional<String> validation,
      Format format,
      Optional<Integer> maxLength,
      boolean shuffle) {}

  /**
   * Steps and updates.
   *
   * @param steps given steps, or empty if epochs are
   * @param epochs given epochs, or empty if steps are
   */
  public record Training(
      Optional<Integer> steps,
      OptionalDouble epochs,
      double maxGradNorm,
      OptimizerSettings.Kind kind,
      double learningRate,
      double weightDecay,
      double beta1,
      double beta2,
      double epsilon,
      Schedule.Curve curve,
      int warmupSteps) {
    /** Steps of a run over {@code examples} rows: ceil(epochs · examples / batch) or as given. */
    public long totalSteps(long examples, int batch) {
      return steps.isPresent()
          ? steps.get()
          : (long) Math.ceil(epochs.orElseThrow() * examples / batch);
    }

    /** The optimiser for a run of so many steps. */
    public OptimizerSettings optimizer(long totalSteps) {
      return new OptimizerSettings(
          kind,
          learningRate,
          weightDecay,
          beta1,
          beta2,
          epsilon,
          new Schedule(curve, warmupSteps, totalSteps));
    }
  }

  /** How it is computed. */
  public record Compute(int threads, int batch, int microBatch, long seed) {
    /** Micro-batches of a full batch. */
    public int parts() {
      return (batch + microBatch - 1) / microBatch;
    }
  }

  /** Where the result goes. */
  public record Output(String folder, OutputMode mode) {}

  /**
   * Reads and checks everything that the command needs.
   *
   * @throws ConfigProblems holding every problem found
   */
  public static JobConfig of(ConfigSource source, Command command) {
    ConfigReader in = new ConfigReader(source.all());
    source.unknownKeys().forEach(in::problem);
    boolean trains = command == Command.TRAIN;
    String base = in.required("base.path", "the folder of a Hugging Face model");
    Task task = in.choice("task", Task.class);
    in.choice("compute.backend", BackendName.class);
    in.choice("train.precision", Precision.class);
    JobConfig config =
        new JobConfig(
            source,
            base,
            task,
            adapter(in, source.user()),
            data(in, trains),
            trains ? Optional.of(training(in)) : Optional.empty(),
            compute(in),
            trains ? Optional.of(output(in)) : Optional.empty());
    ConfigProblems.check(in.problems());
    return config;
  }

  private static Adapter adapter(ConfigReader in, Config user) {
    List<String> set = new ArrayList<>();
    for (String key : List.of("r", "alpha", "target-modules", "modules-to-save", "dropout")) {
      if (user.hasPath("adapter." + key)) {
        set.add(key);
      }
    }
    return new Adapter(
        in.count("adapter.r"),
        in.number("adapter.alpha", v -> v > 0, "a number above 0"),
        in.number("adapter.dropout", v -> v >= 0 && v < 1, "a number from 0 to below 1"),
        targets(in),
        in.has("adapter.modules-to-save")
            ? Optional.of(names(in, "adapter.modules-to-save"))
            : Optional.empty(),
        in.string("adapter.init-from"),
        set);
  }

  /** A list, or one plain name. */
  private static List<String> names(ConfigReader in, String key) {
    return in.isList(key)
        ? in.strings(key).orElse(List.of())
        : in.string(key).map(List::of).orElse(List.of());
  }

  private static TargetModules targets(ConfigReader in) {
    String key = "adapter.target-modules";
    if (!in.has(key)) {
      return new TargetModules.Blocks();
    }
    if (in.isList(key)) {
      List<String> names = in.strings(key).orElse(List.of());
      if (names.isEmpty()) {
        in.problem(key + " is an empty list: name at least one layer");
      }
      return new TargetModules.Names(names);
    }
    String text = in.string(key).orElse("");
    try {
      return text.equals("all-linear")
          ? new TargetModules.AllLinear()
          : new TargetModules.Regex(Pattern.compile(text));
    } catch (PatternSyntaxException e) {
      in.problem(
          key + " is no regular expression: " + e.getMessage().lines().findFirst().orElse(""));
      return new TargetModules.Blocks();
    }
  }

  private static Data data(ConfigReader in, boolean trains) {
    Format format = in.choice("data.format", Format.class);
    if (format == Format.TEXT || format == Format.PROMPT_COMPLETION) {
      in.problem("data.format is for text of causal-lm, which is not supported yet: use tokens");
    }
    if (trains) {
      in.required("data.train", "JSONL, CSV or Parquet");
    } else {
      in.required("data.validation", "JSONL, CSV or Parquet");
    }
    return new Data(
        in.string("data.train"),
        in.string("data.validation"),
        format,
        in.optionalCount("data.max-length"),
        in.flag("data.shuffle"));
  }

  private static Training training(ConfigReader in) {
    if (in.has("train.steps") == in.has("train.epochs")) {
      in.problem("set exactly one of train.steps and train.epochs");
    }
    return new Training(
        in.optionalCount("train.steps"),
        in.has("train.epochs")
            ? OptionalDouble.of(in.number("train.epochs", v -> v > 0, "a number above 0"))
            : OptionalDouble.empty(),
        in.number("train.max-grad-norm", v -> v >= 0, "0 (off) or a number above 0"),
        in.choice("optimizer.name", OptimizerSettings.Kind.class),
        in.number("optimizer.learning-rate", v -> v > 0, "a number above 0"),
        in.number("optimizer.weight-decay", v -> v >= 0, "a number of at least 0"),
        in.number("optimizer.beta1", v -> v >= 0 && v < 1, "a number from 0 to below 1"),
        in.number("optimizer.beta2", v -> v >= 0 && v < 1, "a number from 0 to below 1"),
        in.number("optimizer.epsilon", v -> v > 0, "a number above 0"),
        in.choice("optimizer.schedule", Schedule.Curve.class),
        in.whole(
                "optimizer.warmup-steps",
                v -> v >= 0 && v <= Integer.MAX_VALUE,
                "a whole number of at least 0")
            .map(Long::intValue)
            .orElse(0));
  }

  private static Compute compute(ConfigReader in) {
    int batch = in.count("train.global-batch-size");
    int micro = in.optionalCount("train.micro-batch-size").orElse(Math.min(8, batch));
    long seed = in.whole("train.seed", v -> true, "a whole number").orElse(0L);
    return new Compute(in.count("compute.threads"), batch, Math.min(micro, batch), seed);
  }

  private static Output output(ConfigReader in) {
    return new Output(
        in.required("output", "a folder for the result"),
        in.choice("output-mode", OutputMode.class));
  }
}
