package dev.kindling.job;

import dev.kindling.job.broadcast.HeapPlan;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.Sizes;
import dev.kindling.job.config.Base.Delivery;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.Sync.Compression;
import dev.kindling.job.config.Sync.Exactness;
import dev.kindling.job.explain.Prediction;
import dev.kindling.job.sync.Cluster;
import dev.kindling.job.sync.OnHosts;
import dev.kindling.job.sync.StepReport;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.StartFromBase;
import dev.kindling.tensor.load.Device;
import dev.kindling.train.GradientSum;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What a run's way of working together takes, by counting: nothing is allocated for it.
 *
 * @param steps of the run
 * @param slots tasks at once on all executors
 * @param workers that share each batch; empty where that is of no account
 */
record Needs(
    JobConfig config, Preparation prepared, long steps, int slots, Optional<Integer> workers) {
  private AdapterLayout layout() {
    return prepared.layout();
  }

  private long trainables() {
    return layout().elements();
  }

  /** Bytes of the optimiser's state. */
  long optimizer() {
    return config.optimizer(steps).stateBytes(trainables());
  }

  private boolean averagesExactly() {
    return workers.isPresent() && config.sync().exactness() == Exactness.FEDEX;
  }

  private boolean beginsFromBase() {
    return config.adapter().fromBase().isPresent();
  }

  /** Changes of the base that are as large as the adapter: the first, and one at each merge. */
  private long whole() {
    return (beginsFromBase() ? 1 : 0) + config.links(steps).count() - 1;
  }

  /** Bytes of one of them. */
  private long wholeChange() {
    return whole() == 0
        ? 0
        : (long) Float.BYTES * layout().pairs(layout().settings().r()).elements();
  }

  /** Elements of the largest adapted weight. */
  private long largestWeight() {
    return prepared.plan().linears().stream()
        .filter(m -> layout().adapts(m.name()))
        .mapToLong(m -> (long) m.in() * m.out())
        .max()
        .orElse(0);
  }

  private long averagings() {
    int frequency = config.sync().frequency();
    return (steps + frequency - 1) / frequency;
  }

  /** Of what an averaging adds to the base: r for each worker but one. */
  private long changedRank() {
    return averagesExactly() ? (workers.orElseThrow() - 1L) * layout().settings().r() : 0;
  }

  /** Bytes of that. */
  private long change() {
    long rank = changedRank();
    return rank == 0 ? 0 : (long) Float.BYTES * layout().pairs(Math.toIntExact(rank)).elements();
  }

  /** Elements of the largest pair of that rank. */
  private long largestPair(long rank) {
    long largest = 0;
    if (rank > 0) {
      List<Parameter> pairs = layout().pairs(Math.toIntExact(rank)).parameters();
      for (int p = 0; p < pairs.size(); p += 2) { // A, then B
        largest = Math.max(largest, pairs.get(p).elements() + (long) pairs.get(p + 1).elements());
      }
    }
    return largest;
  }

  /** What an executor's tensors occupy. */
  MemoryPlan memory(MemoryPlan tensors) {
    long rank = Math.max(changedRank(), whole() > 0 ? layout().settings().r() : 0);
    MemoryPlan changed = tensors.withFactors(Float.BYTES * largestPair(rank));
    return workers.isPresent() ? changed.averaging(trainables(), optimizer()) : changed;
  }

  /**
   * What it takes of the heaps.
   *
   * @param tasks of an executor at once
   */
  HeapPlan heaps(int tasks) {
    HeapPlan plan =
        workers.isPresent()
            ? HeapPlan.averaging(trainables(), tasks, workers.get(), optimizer())
                .withChanges(change(), averagings())
            : gradients(tasks, Math.min(slots, config.compute().parts()));
    HeapPlan changed = plan.withChanges(wholeChange(), whole());
    long each = 2 * Float.BYTES + Double.BYTES; // read, turned, and to be factored
    long reading = each * largestWeight();
    boolean driverReads = beginsFromBase() || layout().settings().magnitudes();
    HeapPlan read =
        driverReads
            ? changed.withDriver(reading + Float.BYTES * trainables() + 2 * wholeChange())
            : changed;
    return layout().settings().sampling().any() ? read.withExecutor(reading) : read;
  }

  private HeapPlan gradients(int tasks, int all) {
    HeapPlan plan = HeapPlan.gradients(trainables(), tasks, all, optimizer());
    boolean adds = onHosts().pays(learning(), all, prepared.cluster().hosts());
    return adds ? plan.addingOnHosts(trainables(), tasks) : plan;
  }

  /** When sums are added on their hosts; nothing is summed where workers are averaged. */
  OnHosts onHosts() {
    return workers.isPresent()
        ? new OnHosts(OnHosts.NEVER)
        : Synchronisation.onHosts(config, prepared.cluster().spark().isLocal());
  }

  /** What to ask for. */
  Sizes sizes(MemoryPlan memory) {
    boolean broadcast = config.base().delivery() == Delivery.BROADCAST;
    long arrays = workers.isPresent() ? 8 * trainables() + optimizer() : 0;
    return Sizes.of(memory, heaps(memory.tasks()), broadcast ? prepared.storedBytes() : 0, arrays);
  }

  /**
   * Bytes of an average step. A change of the base goes out with the averaging after it.
   *
   * @param parts micro-batches of a step
   * @param tasks that share it
   */
  Prediction.Exchange exchange(int parts, int tasks, int executors) {
    if (workers.isPresent()) {
      long vectors = optimizer() + Float.BYTES * trainables();
      long down = vectors * averagings() + change() * (averagings() - 1) + whole() * wholeChange();
      return new Prediction.Exchange(
          down * executors / steps, vectors * averagings() * workers.get() / steps);
    }
    ModelSpec spec = prepared.cluster().spec();
    String who = prepared.cluster().executorName();
    long sent = exchanged();
    String numerics = spec.compute().numerics(Device.CPU);
    long report = StepReport.bytes(who, Cluster.host(), numerics);
    long head = new GradientSum(layout(), GradientSum.firstExponents(layout()), 1).mostBytes();
    int each = (parts + tasks - 1) / tasks;
    boolean shorter = config.sync().compression() == Compression.BF16 && each < 4;
    int hosts = prepared.cluster().hosts();
    boolean adds = onHosts().pays(moving(sent), tasks, hosts);
    int sums = adds ? Math.min(hosts, tasks) : tasks;
    return new Prediction.Exchange(
        4 * sent * executors + whole() * wholeChange() * executors / steps,
        report * (adds ? tasks + sums : tasks)
            + sums * (head - 8 * trainables())
            + (shorter ? 2L * parts : 8L * sums) * moving(sent));
  }

  private long learning() {
    return layout().learning(prepared.cluster().spec().halves());
  }

  /** Of so many those that have gradients, which alone go up. */
  private long moving(long sent) {
    return Math.round((double) sent * learning() / Math.max(1, trainables()));
  }

  /** Trainables that a step sends, on average: each rank is drawn as often as any other. */
  private long exchanged() {
    int r = layout().settings().r();
    if (config.adapter().ranks() == Ranks.Use.FIXED) {
      return trainables();
    }
    long pairs = layout().pairs(r).elements();
    return trainables() - pairs + pairs * (r + 1) / (2L * r);
  }

  /**
   * Refuses what could not be carried through.
   *
   * @throws ConfigProblems naming what to change
   */
  void requirePossible() {
    Optional<String> setting = config.changesBase();
    if (setting.isEmpty()) {
      return;
    }
    List<String> problems = new ArrayList<>();
    config.merging().everySteps().ifPresent(every -> requireWholeLinks(every, problems));
    if (beginsFromBase()) {
      StartFromBase.problems(layout()).forEach(why -> problems.add("adapter.initialiser: " + why));
    }
    long values = change() / Float.BYTES;
    long all = trainables() + whole() * wholeChange() / Float.BYTES + values * averagings();
    if (all > AdapterLayout.MOST_TRAINABLES) {
      problems.add(
          String.format(
              Locale.ROOT,
              "%s: the adapter of the result would have %,d values, with %,d of each of %,d"
                  + " averagings and %,d of each of %,d merges, and can have at most %,d: lower"
                  + " adapter.r or sync.workers, name fewer layers, raise sync.averaging-frequency"
                  + " or merge less often",
              setting.get(),
              all,
              values,
              workers.isPresent() ? averagings() : 0,
              wholeChange() / Float.BYTES,
              whole(),
              AdapterLayout.MOST_TRAINABLES));
    }
    List<String> shared = prepared.plan().sharedWeights(layout());
    if (!shared.isEmpty()) {
      problems.add(
          setting.get()
              + " changes the weights of adapted layers, and those of "
              + String.join(", ", shared)
              + " are another layer's too: take them out of adapter.target-modules");
    }
    ConfigProblems.check(problems);
  }

  private void requireWholeLinks(int every, List<String> problems) {
    if (steps % every != 0) {
      problems.add(
          "merge.every-steps is "
              + every
              + ", which does not divide the run's "
              + steps
              + " steps: choose a divisor, or set merge.links instead");
    }
    int frequency = config.sync().frequency();
    if (config.sync().averages() && every % frequency != 0) {
      problems.add(
          "merge.every-steps is "
              + every
              + ": expected a multiple of sync.averaging-frequency, "
              + frequency
              + ", for pairs are merged when they are averaged");
    }
  }
}
