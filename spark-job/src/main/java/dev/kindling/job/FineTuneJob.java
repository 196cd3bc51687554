package dev.kindling.job;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.cost.PairClock;
import dev.kindling.cost.PairClock.Timed;
import dev.kindling.export.Notes;
import dev.kindling.export.PeftWriter;
import dev.kindling.job.broadcast.ExecutorModels;
import dev.kindling.job.broadcast.MemoryBudget;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.Training;
import dev.kindling.job.evaluate.Evaluation;
import dev.kindling.job.evaluate.Evaluator;
import dev.kindling.job.explain.PlanTable;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.report.OutputFolder;
import dev.kindling.job.report.PlanTree;
import dev.kindling.job.report.Progress;
import dev.kindling.job.report.ResultFolder;
import dev.kindling.job.report.RunReport;
import dev.kindling.job.resume.Checkpoint;
import dev.kindling.job.resume.Checkpoints.Saved;
import dev.kindling.job.resume.Preempted;
import dev.kindling.job.resume.Stop;
import dev.kindling.job.storage.StorageFailed;
import dev.kindling.job.sync.Synchroniser;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.Ranks;
import dev.kindling.train.TrainingState;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.sql.SparkSession;
import org.jspecify.annotations.Nullable;

/** The story of a fine-tuning run, from a configuration to a result folder. */
public final class FineTuneJob {
  private final SparkSession session;
  private final JobConfig config;
  private final Training training;
  private final boolean terminal;
  private final Stop stop;
  private final @Nullable String submission;

  /**
   * @param terminal whether stderr is a person's terminal
   * @param stop asked before each step
   * @param submission of cluster mode, to be found in the manifest; null in client mode
   */
  public FineTuneJob(
      SparkSession session,
      JobConfig config,
      boolean terminal,
      Stop stop,
      @Nullable String submission) {
    this.session = session;
    this.config = config;
    this.training = config.training().orElseThrow();
    this.terminal = terminal;
    this.stop = stop;
    this.submission = submission;
  }

  /** Trains, goes on, or finds that the same run is done already; returns the object for stdout. */
  public ObjectNode run() {
    OutputFolder.Opened opened =
        OutputFolder.open(
            config.output().orElseThrow(),
            config.source(),
            session.sparkContext().hadoopConfiguration());
    if (opened.done().isPresent()) {
      System.err.println("already done: " + config.output().get().folder());
      return opened.done().get().result();
    }
    refuseToReplaceTheAdapterItself();
    try (ResultFolder folder = opened.folder()) {
      opened.saved().ifPresent(folder::goOn);
      return prepareAndTrain(folder, opened.saved());
    } catch (IOException e) {
      throw new StorageFailed("output " + config.output().orElseThrow().folder(), e);
    } catch (Exception e) { // Scala throws checked ones too
      if (stop.asked() && !(e instanceof Preempted)) { // stopping cancelled what was under way
        throw new Preempted(opened.folder().kept());
      }
      throw e;
    }
  }

  private ObjectNode prepareAndTrain(ResultFolder folder, Optional<Saved> saved)
      throws IOException {
    Preparation prepared = Preparation.of(session, config);
    try {
      return train(prepared, folder, saved);
    } finally {
      ExecutorModels.release(prepared.cluster().spec().run());
    }
  }

  private void refuseToReplaceTheAdapterItself() {
    String output = config.output().orElseThrow().folder();
    config
        .adapter()
        .initFrom()
        .filter(from -> (from + "/").startsWith(output + "/"))
        .ifPresent(
            from -> {
              throw new ConfigProblems(
                  List.of("output " + output + " holds adapter.init-from: choose another"));
            });
  }

  private ObjectNode train(Preparation opened, ResultFolder folder, Optional<Saved> saved)
      throws IOException {
    Examples examples = opened.trained(session);
    Optional<Examples> held = opened.held(session);
    Map<String, String> inputs = opened.inputs(examples, held);
    int batch = config.compute().batch();
    long steps = training.totalSteps(examples.count(), batch);
    Synchronisation synchronisation =
        Synchronisation.of(config, steps, opened.cluster().slots(), saved);
    synchronisation.needs(opened).requirePossible();
    synchronisation.tellOfLinks();
    synchronisation.workers().ifPresent(k -> inputs.put("sync.workers", String.valueOf(k)));
    saved.ifPresent(s -> requireSame(s.checkpoint().inputs(), inputs));
    List<Timed> timed =
        !config.compute().measures()
            ? List.of()
            : saved.map(s -> s.checkpoint().plans()).orElseGet(() -> opened.time(examples));
    Preparation prepared = timed.isEmpty() ? opened : opened.pinned(timed);
    PlanTable plans = prepared.plans(examples, Optional.empty(), timed);
    Optional<Evaluator> evaluator = held.map(rows -> evaluator(prepared, rows));
    Needs needs = synchronisation.needs(prepared);
    MemoryPlan memory = needs.memory(prepared.memory(examples, held));
    prepared.cluster().require(memory);
    needs
        .heaps(memory.tasks())
        .require(
            session.sparkContext().master(), session.sparkContext().getConf(), prepared.sent());
    TrainingState state =
        synchronisation.state(
            prepared,
            saved.isPresent() ? Beginning.plain(prepared) : Beginning.of(config, prepared));
    RunReport report =
        new RunReport(
            config, prepared.baseDigest(), prepared.labels().names(), memory, needs.optimizer());
    System.err.println(report.memoryPlan());
    System.err.print(PlanTree.brief(plans));
    if (saved.isPresent()) {
      goOn(saved.get(), state, report);
    }

    @Nullable JsonNode before =
        saved.isPresent()
            ? saved.get().checkpoint().before()
            : evaluator.map(e -> before(e, prepared, state, examples, held)).orElse(null);
    Checkpoint first =
        Checkpoint.first(examples.count(), config.source().identity(), inputs, timed, before);
    Checkpoint from = saved.map(Saved::checkpoint).orElse(first);
    Synchroniser synchroniser = synchronisation.of(prepared, state);
    new StepLoop(config, prepared, state, report, folder, stop)
        .run(examples, synchroniser, steps, from, new Progress(System.err, steps, terminal));
    boolean nested = config.adapter().ranks() != Ranks.Use.FIXED;
    List<Evaluation> ranks =
        nested ? evaluator.map(e -> e.ranks(state.trainables())).orElse(List.of()) : List.of();
    Optional<Evaluation> after =
        nested
            ? ranks.stream().skip(Math.max(0, ranks.size() - 1)).findFirst()
            : evaluator.map(e -> e.evaluate(state.trainables(), state.changes()));
    evaluator.ifPresent(Evaluator::close);

    folder.claim();
    BaseChange.Adapter adapter =
        BaseChange.folded(prepared.layout(), state.trainables(), state.changes());
    PeftWriter.write(
        name -> folder.create("adapter/" + name),
        prepared.plan().linears(),
        adapter.layout(),
        adapter.values(),
        new PeftWriter.Base(
            config.base().path(),
            prepared.plan().predictsTokens(),
            prepared.plan().storesTransposed()),
        Notes.of(prepared.labels().names(), nested, prepared.cluster().spec().storage()));
    folder.keep(config.source());
    ObjectNode result = report.result(before, after);
    result.put("trainables", prepared.layout().learnedElements());
    if (!ranks.isEmpty()) {
      result.set("ranks", Evaluation.table(ranks));
    }
    ObjectNode manifest = report.manifest(examples, held, adapter.layout(), session.sparkContext());
    manifest.set("plans", new ObjectMapper().valueToTree(plans.layers()));
    manifest.set("pinned", new ObjectMapper().valueToTree(PairClock.fastest(timed)));
    manifest.set("inputs", new ObjectMapper().valueToTree(inputs));
    manifest.put("baseStorage", prepared.cluster().spec().storage().spelled());
    manifest.put("submission", submission);
    folder.finish(manifest, result);
    System.err.println(
        report.summary(before, after, prepared.layout(), adapter.layout(), examples)
            + Evaluation.lines(ranks));
    return result;
  }

  /** The evaluation before the first step; of codes, with what the base gives without them. */
  private static ObjectNode before(
      Evaluator evaluator,
      Preparation prepared,
      TrainingState state,
      Examples examples,
      Optional<Examples> held) {
    ModelSpec spec = prepared.cluster().spec();
    Optional<Evaluation> uncoded =
        spec.storage().coded()
            ? uncoded(evaluator, prepared.uncoded(), state, examples, held)
            : Optional.empty();
    Evaluation now = evaluator.evaluate(state.trainables(), state.changes());
    ObjectNode before = now.json();
    uncoded.ifPresent(
        full -> {
          before.set("uncoded", full.json());
          System.err.println(RunReport.gap(spec.storage(), now.loss(), full.loss()));
        });
    return before;
  }

  /**
   * Executors give the uncoded base back before they load the codes: one or the other has to fit.
   */
  private static Optional<Evaluation> uncoded(
      Evaluator evaluator,
      Preparation uncoded,
      TrainingState state,
      Examples examples,
      Optional<Examples> held) {
    MemoryPlan memory = uncoded.memory(examples, held);
    MemoryBudget budget = uncoded.cluster().memory();
    if (memory.total() > budget.bytes()) {
      System.err.println(RunReport.noGap(memory, budget));
      return Optional.empty();
    }
    try {
      return Optional.of(evaluator.evaluate(uncoded.cluster(), state.trainables()));
    } finally {
      ExecutorModels.release(uncoded.cluster().spec().run()); // where driver and executor are one
    }
  }

  private void requireSame(Map<String, String> theirs, Map<String, String> ours) {
    List<String> differing = Checkpoint.differing(theirs, ours);
    if (!differing.isEmpty()) {
      throw new ConfigProblems(
          List.of(
              "output "
                  + config.output().orElseThrow().folder()
                  + " cannot go on, for its run began with other inputs: "
                  + String.join(", ", differing)
                  + "; bring them back, choose another output, or set output-mode = overwrite"));
    }
  }

  private static void goOn(Saved saved, TrainingState state, RunReport report) throws IOException {
    Checkpoint checkpoint = saved.checkpoint();
    state.restore(checkpoint.step(), checkpoint.exponents(), saved.tensors(), saved.changes());
    for (String line : saved.history()) {
      report.earlier(line);
    }
    System.err.println("going on after step " + checkpoint.step());
  }

  private Evaluator evaluator(Preparation prepared, Examples rows) {
    return new Evaluator(prepared.cluster(), rows, prepared.grouping(), "data.validation");
  }
}
