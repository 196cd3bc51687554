package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.cost.PairClock.Timed;
import dev.kindling.data.EpochOrder;
import dev.kindling.export.PeftWriter;
import dev.kindling.job.broadcast.ExecutorModels;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.evaluate.Evaluation;
import dev.kindling.job.evaluate.Evaluator;
import dev.kindling.job.explain.PlanTable;
import dev.kindling.job.ingest.Batches;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.report.PlanTree;
import dev.kindling.job.report.Progress;
import dev.kindling.job.report.ResultFolder;
import dev.kindling.job.report.RunReport;
import dev.kindling.job.sync.Diverged;
import dev.kindling.job.sync.SynchronousGradients;
import dev.kindling.job.sync.SynchronousGradients.Outcome;
import dev.kindling.train.TrainingState;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.SparkSession;

/** The story of a fine-tuning run, from a configuration to a result folder. */
public final class FineTuneJob {
  /**
   * Shortest range of steps that is shuffled at once, so that tiny data is not shuffled each epoch.
   */
  private static final long LEAST_STEPS = 256;

  private final SparkSession session;
  private final JobConfig config;
  private final JobConfig.Training training;
  private final boolean terminal;

  /**
   * @param terminal whether stderr is a person's terminal
   */
  public FineTuneJob(SparkSession session, JobConfig config, boolean terminal) {
    this.session = session;
    this.config = config;
    this.training = config.training().orElseThrow();
    this.terminal = terminal;
  }

  /** Trains, or finds that the same run is done already; returns the object for stdout. */
  public ObjectNode run() throws IOException {
    ResultFolder.Opened opened =
        ResultFolder.open(
            config.output().orElseThrow(),
            config.source(),
            session.sparkContext().hadoopConfiguration());
    if (opened.done().isPresent()) {
      System.err.println("already done: " + config.output().get().folder());
      return opened.done().get().result();
    }
    refuseToReplaceTheAdapterItself();
    Preparation prepared = Preparation.of(session, config);
    try (ResultFolder folder = opened.folder()) {
      return train(prepared, folder);
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

  private ObjectNode train(Preparation opened, ResultFolder folder) throws IOException {
    JobConfig.Data data = config.data();
    Examples examples = opened.examples(session, "data.train", data.train().orElseThrow());
    Optional<Examples> held =
        data.validation().map(uri -> opened.examples(session, "data.validation", uri));
    List<Timed> timed = config.compute().measures() ? opened.time(examples) : List.of();
    Preparation prepared = timed.isEmpty() ? opened : opened.pinned(timed);
    PlanTable plans = prepared.plans(examples, Optional.empty(), timed);
    Optional<Evaluator> evaluator = held.map(rows -> evaluator(prepared, rows));
    int batch = config.compute().batch();
    long steps = training.totalSteps(examples.count(), batch);
    TrainingState state =
        new TrainingState(
            prepared.layout(), prepared.start(), training.optimizer(steps), training.maxGradNorm());
    RunReport report =
        new RunReport(
            config,
            prepared.baseDigest(),
            prepared.labels().names(),
            prepared.memory(examples, held),
            state.optimizerBytes());
    System.err.println(report.memoryPlan());
    System.err.print(PlanTree.brief(plans));

    Optional<Evaluation> before = evaluator.map(e -> e.evaluate(state.trainables()));
    loop(prepared, examples, state, steps, report, folder);
    Optional<Evaluation> after = evaluator.map(e -> e.evaluate(state.trainables()));
    evaluator.ifPresent(Evaluator::close);

    PeftWriter.write(
        name -> folder.create("adapter/" + name),
        prepared.plan().linears(),
        prepared.layout(),
        state.trainables(),
        new PeftWriter.Base(
            config.base().path(),
            prepared.plan().predictsTokens(),
            prepared.plan().storesTransposed()),
        prepared.labels().names());
    folder.keep(config.source());
    ObjectNode result = report.result(before, after);
    ObjectNode manifest = report.manifest(examples, prepared.layout(), session.sparkContext());
    manifest.set("plans", new ObjectMapper().valueToTree(plans.layers()));
    folder.finish(manifest, result);
    System.err.println(report.summary(before, after, prepared.layout().elements(), examples));
    return result;
  }

  private Evaluator evaluator(Preparation prepared, Examples rows) {
    return new Evaluator(prepared.cluster(), rows, prepared.grouping(), "data.validation");
  }

  private void loop(
      Preparation prepared,
      Examples examples,
      TrainingState state,
      long steps,
      RunReport report,
      ResultFolder folder)
      throws IOException {
    JobConfig.Compute compute = config.compute();
    long n = examples.count();
    EpochOrder order = new EpochOrder(n, config.data().shuffle(), compute.seed());
    SynchronousGradients gradients =
        new SynchronousGradients(prepared.cluster(), prepared.layout(), compute.parts());
    Progress progress = new Progress(System.err, steps, terminal);
    long perRange = Math.max(LEAST_STEPS, (n + compute.batch() - 1) / compute.batch());
    for (long first = 0; first < steps; first += perRange) {
      long end = Math.min(steps, first + perRange);
      Batches batches =
          Batches.lay(
              examples,
              order,
              first * compute.batch(),
              end * compute.batch(),
              compute.batch(),
              prepared.grouping(),
              prepared.cluster().slots());
      for (long step = first; step < end; step++) {
        Outcome outcome = exact(gradients, batches, step, state);
        TrainingState.Committed committed = state.commit(outcome.sum());
        if (!state.finite()) {
          throw new Diverged("step " + committed.step());
        }
        if (step == 0) {
          prepared.cluster().delivery().delivered();
        }
        folder.metric(report.step(committed, outcome));
        progress.step(committed.step(), committed.loss(), committed.tokens() / outcome.seconds());
      }
      batches.release();
    }
    examples.release();
  }

  /**
   * Repeats a step whose sum does not fit its fixed-point scale, with the scale that it asks for.
   */
  private Outcome exact(
      SynchronousGradients gradients, Batches batches, long step, TrainingState state) {
    Outcome spent = Outcome.nothing();
    while (true) {
      Outcome outcome =
          gradients.step(batches, step, state.trainables(), state.exponents()).after(spent);
      if (!outcome.sum().finite()) {
        throw new Diverged("step " + (step + 1));
      }
      if (outcome.sum().totals().targets() == 0) {
        throw new InvalidInput(
            "data.train",
            "the batch of step " + (step + 1) + " has no target",
            "rows teach nothing whose labels are all -100, or whose prompt fills data.max-length:"
                + " mend them, or use larger batches");
      }
      if (outcome.sum().fits()) {
        return outcome;
      }
      state.rescale(outcome.sum());
      spent = outcome;
    }
  }
}
