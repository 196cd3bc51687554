package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.cost.PairClock.Timed;
import dev.kindling.cost.Rates;
import dev.kindling.cost.StepCost;
import dev.kindling.data.EpochOrder;
import dev.kindling.data.TokenBatch;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.Sizes;
import dev.kindling.job.config.Axes;
import dev.kindling.job.config.Compute;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.Output;
import dev.kindling.job.config.Output.Mode;
import dev.kindling.job.config.Training;
import dev.kindling.job.explain.Comparison;
import dev.kindling.job.explain.ExecutorClock;
import dev.kindling.job.explain.Prediction;
import dev.kindling.job.explain.Sample;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.report.FinishedRun;
import dev.kindling.job.report.OutputFolder;
import dev.kindling.job.report.PlanTree;
import dev.kindling.job.sync.Cluster;
import dev.kindling.tensor.Backend;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.SparkSession;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The story of EXPLAIN: all that train does before its first step, then an account instead of it.
 */
public final class ExplainJob {
  private static final Logger LOG = LoggerFactory.getLogger(ExplainJob.class);
  private static final ObjectMapper JSON = new ObjectMapper();

  private ExplainJob() {}

  /** Explains; a tree on stderr, and the object for stdout. */
  public static ObjectNode run(SparkSession session, JobConfig config) throws IOException {
    Optional<FinishedRun> finished = finished(session, config);
    Preparation prepared = Preparation.withoutWeights(session, config);
    boolean timed = timeable(prepared.cluster(), config);
    Examples examples = prepared.trained(session);
    Optional<Examples> held = prepared.held(session);
    List<Timed> plans = config.compute().measures() ? prepared.time(examples) : List.of();
    Preparation planned = plans.isEmpty() ? prepared : prepared.pinned(plans);
    Prediction prediction = predict(config, planned, examples, held, plans, timed);
    Optional<Comparison> comparison = Optional.empty();
    if (finished.isPresent()) {
      comparison =
          Optional.of(
              Comparison.of(prediction, finished.get().manifest(), finished.get().metrics()));
    }
    examples.release();
    held.ifPresent(Examples::release);
    Axes axes =
        Axes.of(
            config,
            planned.layout().settings(),
            planned.cluster().spec().storage(),
            prediction.run().steps());
    System.err.println(PlanTree.of(axes, prediction, comparison));
    ObjectNode object = JSON.valueToTree(prediction);
    object.set("method", JSON.valueToTree(axes));
    comparison.ifPresent(c -> object.set("comparison", JSON.valueToTree(c.rows())));
    return object;
  }

  /** Whether times can be taken, rather than operations and bytes counted alone. */
  private static boolean timeable(Cluster cluster, JobConfig config) {
    Optional<String> why = cluster.requireClock(config.compute().measures());
    if (why.isEmpty()) {
      cluster.requireGpus(config.compute().allowMixed());
    }
    why.ifPresent(words -> LOG.warn("no GPU can be used here: {}", words));
    return why.isEmpty();
  }

  /** The result of the same run, if there is one. */
  private static Optional<FinishedRun> finished(SparkSession session, JobConfig config) {
    return config
        .output()
        .flatMap(
            output ->
                OutputFolder.open(
                        new Output(output.folder(), Mode.RESUME, 1, 1),
                        config.source(),
                        session.sparkContext().hadoopConfiguration())
                    .done());
  }

  private static Prediction predict(
      JobConfig config,
      Preparation prepared,
      Examples examples,
      Optional<Examples> held,
      List<Timed> plans,
      boolean timed) {
    Training training = config.training().orElseThrow();
    Compute compute = config.compute();
    Cluster cluster = prepared.cluster();
    int batch = compute.batch();
    long steps = training.totalSteps(examples.count(), batch);
    EpochOrder order = new EpochOrder(examples.count(), config.data().shuffle(), compute.seed());
    Sample sample = Sample.of(cluster, examples, order, steps, batch, prepared.grouping());
    int tasks = Math.min(cluster.slots(), compute.parts());
    int executors =
        Math.min(
            tasks, (cluster.slots() + cluster.tasksPerExecutor() - 1) / cluster.tasksPerExecutor());

    Needs needs =
        Synchronisation.of(config, steps, cluster.slots(), Optional.empty()).needs(prepared);
    needs.requirePossible();
    MemoryPlan memory = needs.memory(prepared.memory(examples, held));
    Sizes asked = needs.sizes(memory);
    ExecutorClock clock = new ExecutorClock(cluster);
    try (Backend sizes = cluster.spec().compute().sizes()) {
      StepCost cost = cost(prepared, sizes);
      @Nullable Rates rates = null;
      Prediction.@Nullable Seconds seconds = null;
      if (timed) {
        var largest = new TokenBatch.Shape(memory.rows(), memory.tokens(), memory.rows());
        rates = clock.rates(Rates.probe(cost.of(largest)), tasks);
        int together = config.sync().averages() ? config.sync().frequency() : 1;
        double exchange = clock.exchange(prepared.layout(), tasks, needs.onHosts()) / together;
        seconds = Prediction.Seconds.of(Prediction.compute(sample, cost, rates), exchange, steps);
      }
      return new Prediction(
          new Prediction.Run(
              steps,
              batch,
              compute.parts(),
              tasks,
              executors,
              examples.count(),
              sample.steps().size(),
              (double) sample.tokens() / sample.steps().size(),
              sample.padding()),
          Prediction.work(sample, cost, rates),
          memory,
          needs.optimizer(),
          needs.exchange(compute.parts(), tasks, executors),
          rates,
          seconds,
          prepared.plans(examples, Optional.ofNullable(rates), plans),
          new Prediction.Submit(asked.local(), asked.cluster()));
    }
  }

  private static StepCost cost(Preparation prepared, Backend sizes) {
    ModelSpec spec = prepared.cluster().spec();
    return new StepCost(
        sizes,
        prepared.plan(),
        prepared.layout(),
        prepared.stored(),
        spec.storage(),
        spec.plans(),
        spec.halves(),
        spec.recompute());
  }
}
