package dev.kindling.job.config;

import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Halves;
import dev.kindling.lora.Initialiser;
import dev.kindling.lora.Initialiser.FromBase;
import dev.kindling.lora.LayerPatterns;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.Sampling;
import dev.kindling.lora.Scaling;
import dev.kindling.lora.TargetModules;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.optim.Links;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.Schedule;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.load.Engine;
import dev.kindling.train.Merges;
import dev.kindling.train.Merges.Restart;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/** A valid configuration: one record per concern. Keys, units and defaults: conf/reference.conf. */
public record JobConfig(
    ConfigSource source,
    Base base,
    Task task,
    Adapter adapter,
    Data data,
    Optional<Training> training,
    Merging merging,
    Sync sync,
    Compute compute,
    Optional<Output> output,
    Optional<Generation> generation,
    Optional<Target> target) {
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

  /** How a text becomes examples of a language model. */
  public enum Split {
    AUTO,
    NONE,
    BLANK_LINE,
    WINDOW
  }

  /** The commands that read a configuration. */
  public enum Command {
    TRAIN,
    EXPLAIN,
    EVALUATE,
    GENERATE,
    EXPORT,
    MERGE,
    VERIFY
  }

  /** What of the activations is computed again rather than kept. */
  public enum Recompute {
    NONE,
    BLOCK
  }

  /** What to do with an output folder that exists. */
  public enum OutputMode {
    RESUME,
    OVERWRITE,
    REQUIRE_RESUME,
    FAIL_IF_EXISTS
  }

  /** Engines; auto is the fastest for CPUs that the driver's machine has. */
  public enum BackendName {
    AUTO,
    ONEDNN,
    ND4J,
    CUDA,
    ND4J_CUDA
  }

  /** How the frozen weights come to executors. */
  public enum Delivery {
    BROADCAST,
    STORAGE
  }

  /**
   * The frozen model.
   *
   * @param storage how its matrices are kept
   * @param said whether the user or the method says so; else the notes of an adapter may
   */
  public record Base(String path, Storage storage, boolean said, Delivery delivery) {}

  /**
   * The adapter to make, or to continue.
   *
   * @param patterns layers that have a rank or an alpha of their own
   * @param magnitudes whether adapted layers learn the lengths of their rows
   * @param sampling how gradients go on through frozen weights
   * @param initialiser of a new adapter's pairs
   * @param trained halves of pairs that learn
   * @param ranks of each step
   * @param userSet keys under {@code adapter} that the user or the method set, which an imported
   *     folder must agree with
   */
  public record Adapter(
      int r,
      double alpha,
      Scaling scaling,
      LayerPatterns patterns,
      boolean magnitudes,
      Sampling sampling,
      double dropout,
      Initialiser initialiser,
      Halves trained,
      Ranks.Use ranks,
      TargetModules targets,
      Optional<List<String>> modulesToSave,
      Optional<String> initFrom,
      List<String> userSet) {
    /** How pairs begin as part of the base: not where a folder brings their values. */
    public Optional<FromBase> fromBase() {
      return initFrom.isPresent() ? Optional.empty() : initialiser.fromBase();
    }

    /** What a PEFT configuration would say of it, on these layers. */
    public AdapterSettings settings(TargetModules on, List<String> saved) {
      return new AdapterSettings(
          r, alpha, scaling, patterns, magnitudes, sampling, dropout, on, saved);
    }

    /** The same with what a folder says of itself. */
    private Adapter like(AdapterSettings brought) {
      return new Adapter(
          brought.r(),
          brought.alpha(),
          brought.scaling(),
          brought.patterns(),
          brought.magnitudes(),
          sampling,
          dropout,
          initialiser,
          trained,
          ranks,
          targets,
          modulesToSave,
          initFrom,
          userSet);
    }
  }

  /** What to do with a row that cannot be used. */
  public enum BadRow {
    FAIL,
    DROP
  }

  /**
   * Rows and their order.
   *
   * @param holdOut share of {@code train} that is evaluated rather than trained on
   */
  public record Data(
      Optional<String> train,
      Optional<String> validation,
      double holdOut,
      Optional<String> filter,
      Optional<Integer> limit,
      BadRow onBadRow,
      Format format,
      String textColumn,
      String labelColumn,
      Split split,
      Optional<Integer> maxLength,
      boolean packing,
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
      double loraPlusRatio,
      double weightDecay,
      double beta1,
      double beta2,
      double epsilon,
      Schedule.Curve curve,
      int warmupSteps,
      double floor) {
    /** Steps of a run over {@code examples} rows: ceil(epochs · examples / batch) or as given. */
    public long totalSteps(long examples, int batch) {
      return steps.isPresent()
          ? steps.get()
          : (long) Math.ceil(epochs.orElseThrow() * examples / batch);
    }
  }

  /**
   * When pairs are added to the base and begin anew.
   *
   * @param everySteps given steps from one merge to the next, or empty
   * @param pruned share of the optimiser's state that is forgotten
   * @param warmup of each link but the first, as a share of it
   */
  public record Merging(
      int links, Optional<Integer> everySteps, Restart restart, double pruned, double warmup) {
    /** Whether they ever are. */
    public boolean merges() {
      return links > 1 || everySteps.isPresent();
    }
  }

  /** The links of a run of so many steps; between averagings where there are such. */
  public Links links(long steps) {
    long wanted = merging.everySteps.map(q -> Math.max(1, steps / q)).orElse((long) merging.links);
    return Links.of(steps, wanted, sync.averages() ? sync.frequency : 1);
  }

  /** Where such a run's pairs begin anew. */
  public Merges merges(long steps) {
    return new Merges(links(steps), merging.restart, merging.pruned, compute.seed);
  }

  /** What steps use of pairs of rank r. */
  public Ranks ranks(int r) {
    return new Ranks(adapter.ranks, r, compute.seed);
  }

  /** The optimiser of such a run. */
  public OptimizerSettings optimizer(long steps) {
    Training t = training.orElseThrow();
    return new OptimizerSettings(
        t.kind,
        t.learningRate,
        t.weightDecay,
        t.beta1,
        t.beta2,
        t.epsilon,
        new Schedule(t.curve, t.warmupSteps, steps, t.floor, links(steps), merging.warmup));
  }

  /** How the executors' work becomes one. */
  public enum SyncMode {
    GRADIENTS,
    AVERAGING
  }

  /** In what gradients travel. */
  public enum Compression {
    NONE,
    BF16
  }

  /** Where the sums of a step's tasks become one. */
  public enum Sums {
    /** On their hosts, where that keeps much off the network. */
    AUTO,
    /** On the driver. */
    TASK,
    /** On their hosts, then on the driver. */
    HOST
  }

  /** What makes averages of pairs averages of their products. */
  public enum Exactness {
    NONE,
    FFA,
    FEDEX
  }

  /** What is made of an average. */
  public enum Outer {
    AVERAGE,
    NESTEROV
  }

  /**
   * How the executors' work becomes one.
   *
   * @param frequency steps from one averaging to the next
   * @param workers empty for the task slots at the start
   */
  public record Sync(
      SyncMode mode,
      Compression compression,
      Sums sums,
      int frequency,
      Optional<Integer> workers,
      Exactness exactness,
      Outer outer,
      double outerRate,
      double outerMomentum) {
    /** Whether workers take steps of their own. */
    public boolean averages() {
      return mode == SyncMode.AVERAGING;
    }
  }

  /** How it is computed. */
  public record Compute(
      BackendName backend,
      Precision precision,
      int threads,
      PlanChooser plans,
      int batch,
      int microBatch,
      long seed,
      Recompute recompute,
      boolean allowMixed) {
    /** The engine for a run that this machine drives. */
    public dev.kindling.tensor.load.Compute choose() {
      Engine engine =
          switch (backend) {
            case AUTO -> Engine.best();
            case ONEDNN -> Engine.ONEDNN;
            case ND4J -> Engine.ND4J;
            case CUDA -> Engine.CUDA;
            case ND4J_CUDA -> Engine.ND4J_CUDA;
          };
      return new dev.kindling.tensor.load.Compute(engine, precision, threads);
    }

    /** Whether plans are to be timed before training. */
    public boolean measures() {
      return plans instanceof PlanChooser.Measured;
    }

    /** Micro-batches of a full batch. */
    public int parts() {
      return (batch + microBatch - 1) / microBatch;
    }
  }

  /**
   * Where the result goes.
   *
   * @param checkpointEvery steps from one checkpoint to the next
   * @param checkpointKeep checkpoints that are kept
   */
  public record Output(String folder, OutputMode mode, int checkpointEvery, int checkpointKeep) {}

  /**
   * A text to continue.
   *
   * @param temperature 0 for the likeliest token each time
   * @param topP share of the probability that is drawn from
   */
  public record Generation(
      String prompt, int maxTokens, double temperature, double topP, long seed) {}

  /**
   * What export and merge make.
   *
   * @param to a new folder
   * @param rank of the adapter; empty for its own
   * @param baseTo a new folder for a base that has the adapter's other ranks in it
   */
  public record Target(String to, Optional<Integer> rank, Optional<String> baseTo) {}

  /** Which halves of pairs learn. */
  public Halves halves() {
    boolean ffa = sync.averages() && sync.exactness() == Exactness.FFA;
    return ffa ? Halves.B : adapter.trained();
  }

  /** What adds to the frozen weights, if anything does. */
  public Optional<String> changesBase() {
    if (sync.exactness() == Exactness.FEDEX) {
      return Optional.of("sync.exactness = fedex");
    }
    if (merging.everySteps.isPresent()) {
      return Optional.of("merge.every-steps = " + merging.everySteps.get());
    }
    if (merging.merges()) {
      return Optional.of("merge.links = " + merging.links);
    }
    return adapter.fromBase().isPresent()
        ? Optional.of("adapter.initialiser = " + adapter.initialiser().spelled())
        : Optional.empty();
  }

  /**
   * What does not go together once the folder that the adapter comes from has been read.
   *
   * @param brought what that folder says of itself
   * @return one sentence each, naming both keys
   */
  public List<String> problemsBeside(AdapterSettings brought) {
    return Combinations.problems(this, adapter.like(brought)).stream()
        .map("beside what adapter.init-from brings: "::concat)
        .toList();
  }

  /**
   * Reads and checks everything that the command needs.
   *
   * @throws ConfigProblems holding every problem found
   */
  public static JobConfig of(ConfigSource source, Command command) {
    return new JobConfigReader(source).read(command);
  }
}
