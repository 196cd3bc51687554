package dev.kindling.job.config;

import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Halves;
import dev.kindling.lora.Ranks;
import dev.kindling.optim.Links;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.Schedule;
import dev.kindling.train.Merges;
import java.util.List;
import java.util.Optional;

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

  /** The links of a run of so many steps; between averagings where there are such. */
  public Links links(long steps) {
    long wanted =
        merging.everySteps().map(q -> Math.max(1, steps / q)).orElse((long) merging.links());
    return Links.of(steps, wanted, sync.averages() ? sync.frequency() : 1);
  }

  /** Where such a run's pairs begin anew. */
  public Merges merges(long steps) {
    return new Merges(links(steps), merging.restart(), merging.pruned(), compute.seed());
  }

  /** What steps use of pairs of rank r. */
  public Ranks ranks(int r) {
    return new Ranks(adapter.ranks(), r, compute.seed());
  }

  /** The optimiser of such a run. */
  public OptimizerSettings optimizer(long steps) {
    Training t = training.orElseThrow();
    return new OptimizerSettings(
        t.kind(),
        t.learningRate(),
        t.weightDecay(),
        t.beta1(),
        t.beta2(),
        t.epsilon(),
        new Schedule(t.curve(), t.warmupSteps(), steps, t.floor(), links(steps), merging.warmup()));
  }

  /** Which halves of pairs learn. */
  public Halves halves() {
    boolean ffa = sync.averages() && sync.exactness() == Sync.Exactness.FFA;
    return ffa ? Halves.B : adapter.trained();
  }

  /** What adds to the frozen weights, if anything does. */
  public Optional<String> changesBase() {
    if (sync.exactness() == Sync.Exactness.FEDEX) {
      return Optional.of("sync.exactness = fedex");
    }
    if (merging.everySteps().isPresent()) {
      return Optional.of("merge.every-steps = " + merging.everySteps().get());
    }
    if (merging.merges()) {
      return Optional.of("merge.links = " + merging.links());
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
