package dev.kindling.job.config;

import dev.kindling.job.config.JobConfig.Command;
import dev.kindling.job.config.JobConfig.Generation;
import dev.kindling.job.config.Sync.Compression;
import dev.kindling.job.config.Sync.Sums;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.Schedule;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.train.Merges.Restart;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/** Reads and checks all that a command needs, and reports every problem at once. */
final class JobConfigReader {
  private final ConfigSource source;
  private final ConfigReader in;

  JobConfigReader(ConfigSource source) {
    this.source = source;
    this.in = new ConfigReader(source.all());
  }

  JobConfig read(Command command) {
    source.unknownKeys().forEach(in::problem);
    Methods.problem(source.all()).ifPresent(in::problem);
    boolean trains = command == Command.TRAIN || command == Command.EXPLAIN;
    boolean generates = command == Command.GENERATE;
    Base base =
        new Base(
            in.required("base.path", "the folder of a Hugging Face model"),
            in.choice("base.storage", Storage.class),
            source.chosen().hasPath("base.storage"),
            in.choice("base.delivery", Base.Delivery.class));
    JobConfig.Task task = in.choice("task", JobConfig.Task.class);
    refuseKeysOfOthers(command);
    if (base.delivery() == Base.Delivery.STORAGE && base.path().startsWith("maven:")) {
      in.problem(
          "base.delivery = storage: base.path "
              + base.path()
              + " is in the driver's cache, where executors do not see it: copy it to storage that"
              + " they share, or set base.delivery = broadcast");
    }
    Adapter adapter = new AdapterReader(source, in).read();
    Compute compute = compute(adapter);
    JobConfig config =
        new JobConfig(
            source,
            base,
            task,
            adapter,
            data(command),
            trains ? Optional.of(training()) : Optional.empty(),
            merging(),
            sync(compute.batch()),
            compute,
            command == Command.TRAIN || (trains && in.has("output"))
                ? Optional.of(output())
                : Optional.empty(),
            generates ? Optional.of(generation()) : Optional.empty(),
            exports(command)
                ? Optional.of(
                    new JobConfig.Target(
                        in.required("to", "a new folder"),
                        in.optionalCount("rank"),
                        in.string("base-to")))
                : Optional.empty());
    if (compute.backend() == Compute.Backend.ND4J_CUDA && config.sync().averages()) {
      in.problem(
          "compute.backend = nd4j-cuda with sync.mode = averaging: Deeplearning4j's own arrays"
              + " would be on the GPU before it is known whether ND4J can use it; set sync.mode ="
              + " gradients");
    }
    if (trains) {
      Combinations.problems(config, adapter).forEach(in::problem);
    }
    ConfigProblems.check(in.problems());
    return config;
  }

  private static boolean exports(Command command) {
    return command == Command.EXPORT || command == Command.MERGE;
  }

  /** {@code seed=7} for {@code train.seed=7} must not be taken in silence. */
  private void refuseKeysOfOthers(Command command) {
    for (String key : ConfigSource.GENERATION_KEYS) {
      if (command != Command.GENERATE && source.user().hasPath(key)) {
        in.problem(
            key
                + " is for generate"
                + (key.equals("seed") ? ": did you mean train.seed?" : ": leave it out"));
      }
    }
    if (source.user().hasPath("to") && !exports(command)) {
      in.problem("to is for export and merge: did you mean output?");
    }
    if (source.user().hasPath("rank") && command != Command.EXPORT) {
      in.problem("rank is for export: did you mean adapter.r?");
    }
    if (source.user().hasPath("base-to") && command != Command.EXPORT) {
      in.problem("base-to is for export: leave it out");
    }
    if (exports(command)) {
      in.required("adapter.init-from", "an adapter's folder, or set output to its run's");
    }
  }

  private Generation generation() {
    return new Generation(
        in.required("prompt", "the text to continue"),
        in.count("max-tokens"),
        in.number("temperature", v -> v >= 0, "0 (the likeliest token) or a number above 0"),
        in.number("top-p", v -> v > 0 && v <= 1, "a number above 0, at most 1"),
        in.number("seed", v -> true, "a whole number", 0));
  }

  private Data data(Command command) {
    if (command == Command.TRAIN || command == Command.EXPLAIN) {
      in.required("data.train", "JSONL, CSV, Parquet or plain text");
    } else if (command == Command.EVALUATE) {
      in.required("data.validation", "JSONL, CSV, Parquet or plain text");
    }
    double holdOut = in.number("data.hold-out", v -> v >= 0 && v < 1, "0 (off) or a share below 1");
    if (command != Command.EVALUATE && holdOut > 0 && in.has("data.validation")) {
      in.problem("set one of data.validation and data.hold-out, not both");
    }
    return new Data(
        in.string("data.train"),
        in.string("data.validation"),
        holdOut,
        in.string("data.filter"),
        in.optionalCount("data.limit"),
        in.choice("data.on-bad-row", Data.BadRow.class),
        in.choice("data.format", Data.Format.class),
        in.required("data.text-column", "the name of a column"),
        in.required("data.label-column", "the name of a column"),
        in.choice("data.split", Data.Split.class),
        in.optionalCount("data.max-length"),
        in.flag("data.packing"),
        in.flag("data.shuffle"));
  }

  private Training training() {
    if (in.has("train.steps") == in.has("train.epochs")) {
      in.problem("set exactly one of train.steps and train.epochs");
    }
    boolean flat = in.choice("optimizer.schedule", Schedule.Curve.class) == Schedule.Curve.CONSTANT;
    if (flat && source.userKeys("optimizer").contains("optimizer.floor")) {
      in.problem("optimizer.floor is for optimizer.schedule = linear | cosine: set that");
    }
    return new Training(
        in.optionalCount("train.steps"),
        in.has("train.epochs")
            ? OptionalDouble.of(in.number("train.epochs", v -> v > 0, "a number above 0"))
            : OptionalDouble.empty(),
        in.number("train.max-grad-norm", v -> v >= 0, "0 (off) or a number above 0"),
        in.choice("optimizer.name", OptimizerSettings.Kind.class),
        in.number("optimizer.learning-rate", v -> v > 0, "a number above 0"),
        in.number("optimizer.lora-plus-ratio", v -> v > 0, "a number above 0"),
        in.number("optimizer.weight-decay", v -> v >= 0, "a number of at least 0"),
        in.number("optimizer.beta1", v -> v >= 0 && v < 1, "a number from 0 to below 1"),
        in.number("optimizer.beta2", v -> v >= 0 && v < 1, "a number from 0 to below 1"),
        in.number("optimizer.epsilon", v -> v > 0, "a number above 0"),
        in.choice("optimizer.schedule", Schedule.Curve.class),
        (int)
            in.number(
                "optimizer.warmup-steps",
                v -> v >= 0 && v <= Integer.MAX_VALUE,
                "a whole number of at least 0",
                0),
        in.number("optimizer.floor", v -> v >= 0 && v < 1, "a number from 0 to below 1"));
  }

  private Merging merging() {
    Merging merging =
        new Merging(
            in.count("merge.links"),
            in.optionalCount("merge.every-steps"),
            in.choice("merge.optimizer", Restart.class),
            in.number("merge.pruned", v -> v >= 0 && v <= 1, "a number from 0 to 1"),
            in.number("merge.warmup", v -> v >= 0 && v <= 1, "a number from 0 to 1"));
    List<String> set = source.userKeys("merge");
    if (set.contains("merge.links") && set.contains("merge.every-steps")) {
      in.problem("set one of merge.links and merge.every-steps, not both");
    }
    for (String key : set) {
      boolean cuts = key.equals("merge.links") || key.equals("merge.every-steps");
      if (!merging.merges() && !cuts) {
        in.problem(key + " is for a chain: set merge.links above 1, or leave this out");
      } else if (merging.restart() == Restart.RESET && key.equals("merge.pruned")) {
        in.problem(
            key + " is for merge.optimizer = random | magnitude: set that, or leave this out");
      }
    }
    return merging;
  }

  private Sync sync(int batch) {
    Sync sync =
        new Sync(
            in.choice("sync.mode", Sync.Mode.class),
            in.choice("sync.compression", Sync.Compression.class),
            in.choice("sync.sums", Sync.Sums.class),
            in.count("sync.averaging-frequency"),
            in.optionalCount("sync.workers"),
            in.choice("sync.exactness", Sync.Exactness.class),
            in.choice("sync.outer", Sync.Outer.class),
            in.number("sync.outer-learning-rate", v -> v > 0, "a number above 0"),
            in.number("sync.outer-momentum", v -> v >= 0 && v < 1, "a number from 0 to below 1"));
    boolean nesterov = sync.outer() == Sync.Outer.NESTEROV;
    for (String key : source.userKeys("sync")) {
      if (key.equals("sync.sums")) {
        if (sync.averages()) {
          in.problem(key + " is for sync.mode = gradients: averages have a sum for each worker");
        } else if (sync.sums() == Sums.HOST && sync.compression() == Compression.BF16) {
          in.problem(
              key
                  + " = host sends 8 bytes for each trainable, and sync.compression = bf16 is there"
                  + " to send fewer: leave one of the two out");
        }
      } else if (key.equals("sync.compression")) {
        if (sync.averages() && sync.compression() != Sync.Compression.NONE) {
          in.problem(key + " is for sync.mode = gradients: what is averaged is not rounded");
        }
      } else if (!sync.averages() && !key.equals("sync.mode")) {
        in.problem(key + " is for sync.mode = averaging: set that, or leave this out");
      } else if (!nesterov && key.startsWith("sync.outer-")) {
        in.problem(key + " is for sync.outer = nesterov: set that, or leave this out");
      }
    }
    if (sync.workers().orElse(1) > batch) {
      in.problem(
          "sync.workers is "
              + sync.workers().get()
              + ": expected at most train.global-batch-size, "
              + batch
              + ", so that each has a share");
    }
    return sync;
  }

  private Compute compute(Adapter adapter) {
    int batch = in.count("train.global-batch-size");
    int micro = in.optionalCount("train.micro-batch-size").orElse(Math.min(8, batch));
    long seed = in.number("train.seed", v -> true, "a whole number", 0);
    Compute.Backend backend = in.choice("compute.backend", Compute.Backend.class);
    Precision precision = in.choice("train.precision", Precision.class);
    boolean single = backend == Compute.Backend.ND4J || backend == Compute.Backend.ND4J_CUDA;
    if (single && precision != Precision.FP32) {
      in.problem(
          "train.precision = "
              + precision.spelled()
              + " needs compute.backend = onednn or cuda, or auto");
    } else if (precision == Precision.TF32 && backend != Compute.Backend.CUDA) {
      in.problem("train.precision = tf32 is for compute.backend = cuda: elsewhere fp32 or bf16");
    }
    return new Compute(
        backend,
        precision,
        in.count("compute.threads"),
        plans(precision, adapter),
        batch,
        Math.min(micro, batch),
        seed,
        in.choice("train.recompute", Compute.Recompute.class),
        in.flag("compute.allow-mixed"));
  }

  /**
   * {@code flops}, {@code measured}, or {@code fixed:} and the id of a plan that the other settings
   * allow.
   */
  private PlanChooser plans(Precision precision, Adapter adapter) {
    String key = "plan.chooser";
    String text = in.required(key, "flops, measured or fixed:<id>");
    if (text.equals("flops")) {
      return new PlanChooser.FewestFlops();
    }
    if (text.equals("measured")) {
      return new PlanChooser.Measured(List.of()); // to be filled before training
    }
    String id = text.startsWith("fixed:") ? text.substring("fixed:".length()) : "";
    Optional<PairPlan> plan = PairPlan.of(id);
    if (plan.isEmpty()) {
      in.problem(
          key
              + " is '"
              + text
              + "': expected flops | measured | fixed:f<1-4>[k]b<1-8>, for example fixed:f1kb1");
      return new PlanChooser.FewestFlops();
    }
    boolean samples = adapter.sampling().any();
    new PlanRules(adapter.dropout() > 0, precision.rounds(), samples)
        .against(plan.get())
        .ifPresent(why -> in.problem(key + ": " + why));
    return new PlanChooser.Fixed(plan.get());
  }

  private Output output() {
    return new Output(
        in.required("output", "a folder for the result"),
        in.choice("output-mode", Output.Mode.class),
        in.count("checkpoint.every-steps"),
        in.count("checkpoint.keep"));
  }
}
