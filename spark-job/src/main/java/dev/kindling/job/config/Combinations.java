package dev.kindling.job.config;

import dev.kindling.job.config.Compute.Backend;
import dev.kindling.job.config.Sync.Exactness;
import dev.kindling.lora.Halves;
import dev.kindling.lora.Initialiser;
import dev.kindling.lora.Ranks;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Settings of the methods' axes that do not go together, each by itself legal: the only place that
 * says so. Which plans a layer allows is {@link dev.kindling.lora.plan.PlanRules}' matter, and what
 * the model does not allow is found once it is read.
 */
final class Combinations {
  private final JobConfig config;
  private final ConfigSource source;
  private final Adapter adapter;
  private final List<String> problems = new ArrayList<>();

  private Combinations(JobConfig config, Adapter adapter) {
    this.config = config;
    this.source = config.source();
    this.adapter = adapter;
  }

  /**
   * What a run cannot have together.
   *
   * @param adapter the configuration's own, or as the folder has it that it goes on from
   * @return one sentence each, naming both keys
   */
  static List<String> problems(JobConfig config, Adapter adapter) {
    Combinations combinations = new Combinations(config, adapter);
    combinations.halves();
    combinations.changesOfTheBase();
    combinations.prefixes();
    combinations.magnitudes();
    combinations.sampling();
    combinations.gpus();
    return combinations.problems;
  }

  private void refuse(boolean found, String why) {
    if (found) {
      problems.add(why);
    }
  }

  private IntStream ranks() {
    return IntStream.concat(
        IntStream.of(adapter.r()),
        adapter.patterns().ranks().values().stream().mapToInt(rank -> rank));
  }

  /** Halves that cannot learn, or whose averages leave nothing out. */
  private void halves() {
    boolean continued = adapter.initFrom().isPresent();
    boolean onlyA = adapter.trained() == Halves.A;
    Exactness exactness = config.sync().exactness();
    refuse(
        continued && source.user().hasPath("adapter.initialiser"),
        "adapter.initialiser is for a new adapter: adapter.init-from brings its values");
    refuse(
        onlyA && !continued && ranks().anyMatch(adapter.initialiser()::zeroB),
        "adapter.train = a: B begins at zero, so that A learns nothing beside it; set"
            + " adapter.init-from, or an adapter.initialiser whose B is not zero");
    refuse(
        onlyA && config.merging().merges(),
        "adapter.train = a: each link begins with B at zero, so that A learns nothing beside it;"
            + " train both, or set merge.links = 1");
    refuse(
        onlyA && exactness == Exactness.FFA,
        "sync.exactness = ffa trains B, and adapter.train = a does not: set one of them");
    refuse(
        adapter.trained() != Halves.BOTH && exactness == Exactness.FEDEX,
        "sync.exactness = fedex: where only one half of each pair learns (adapter.train),"
            + " averages leave nothing out; leave it away");
  }

  /** What is added to a rounded weight is mostly lost. */
  private void changesOfTheBase() {
    Optional<String> setting = config.changesBase();
    if (setting.isEmpty()) {
      return;
    }
    Precision precision = config.compute().precision();
    String why = ": " + setting.get() + " adds to the frozen weights, and needs them in fp32; set ";
    refuse(
        precision.rounds(),
        "train.precision = " + precision.spelled() + why + "train.precision = fp32");
    Storage storage = config.base().storage();
    refuse(
        storage != Storage.FP32,
        "base.storage = " + storage.spelled() + why + "base.storage = fp32");
  }

  /** What is not the same for every prefix of the ranks. */
  private void prefixes() {
    if (adapter.ranks() == Ranks.Use.FIXED) {
      return;
    }
    refuse(
        config.sync().outer() == Sync.Outer.NESTEROV,
        "adapter.ranks: the momentum of sync.outer = nesterov would move ranks that no worker"
            + " has; leave one of the two out");
    refuse(
        !adapter.patterns().ranks().isEmpty(),
        "adapter.ranks: a step's rank is one for all layers, and adapter.rank-pattern gives some"
            + " their own; leave one of the two out");
    Initialiser initialiser = adapter.initialiser();
    refuse(
        adapter.initFrom().isEmpty()
            && initialiser.fromBase().isEmpty()
            && !initialiser.zeroB(adapter.r()),
        "adapter.ranks: pairs of adapter.initialiser = "
            + initialiser.spelled()
            + " are nothing as a whole, and their prefixes are not; leave one of the two out");
    config
        .changesBase()
        .ifPresent(
            setting ->
                problems.add(
                    "adapter.ranks: what "
                        + setting
                        + " adds to the frozen weights belongs to all ranks, and no prefix of"
                        + " them would be an adapter; leave one of the two out"));
  }

  /** What GPU engines do not have yet. */
  private void gpus() {
    Storage storage = config.base().storage();
    Backend backend = config.compute().backend();
    refuse(
        storage.coded() && backend == Backend.ND4J_CUDA,
        "base.storage = "
            + storage.spelled()
            + " is decoded on CPUs and by compute.backend = cuda: with nd4j-cuda take fp32 or"
            + " as-stored");
  }

  /** What is chosen once for all executors, and of weights as they are loaded. */
  private void sampling() {
    if (!adapter.sampling().any()) {
      boolean said = source.userKeys("sampling").stream().anyMatch(key -> !key.contains(".kept"));
      refuse(said, "sampling.…: is for sampled gradients: set sampling.kept, or leave it out");
      return;
    }
    refuse(
        config.sync().averages(),
        "sampling.kept: features are chosen by all gradients of a step, and with sync.mode ="
            + " averaging workers take steps of their own; leave one of the two out");
    config
        .changesBase()
        .ifPresent(
            setting ->
                problems.add(
                    "sampling.kept: weights are taken apart as they are loaded, and "
                        + setting
                        + " adds to them later; leave one of the two out"));
  }

  /** A row that has been given a length is not the sum of what is added to it. */
  private void magnitudes() {
    if (!adapter.magnitudes()) {
      return;
    }
    String why =
        " adds pairs to the frozen weights, and what the rows' lengths make of them is no such sum;"
            + " leave one of the two out";
    refuse(config.merging().merges(), "adapter.magnitudes: merge.links" + why);
    refuse(
        config.sync().exactness() == Exactness.FEDEX,
        "adapter.magnitudes: sync.exactness = fedex" + why);
  }
}
