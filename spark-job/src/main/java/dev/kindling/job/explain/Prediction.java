package dev.kindling.job.explain;

import dev.kindling.cost.Cost;
import dev.kindling.cost.Rates;
import dev.kindling.cost.StepCost;
import dev.kindling.cost.Work.Kind;
import dev.kindling.job.broadcast.MemoryPlan;
import dev.kindling.job.explain.Sample.Size;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a run will do, before it does it. Seconds are predictions from the speed of a few
 * operations; operations, bytes and memory follow from sizes alone.
 *
 * @param run how much there is to do
 * @param work of an average step
 * @param memory of each executor, in bytes
 * @param optimizerBytes on the driver's heap
 * @param exchange of an average step
 * @param rates of the slowest of the tasks that run at once; null where there is nothing to compute
 *     on
 * @param seconds of an average step; null without rates
 * @param plans of the low-rank layers
 * @param submit what to ask for
 */
public record Prediction(
    Run run,
    StepWork work,
    MemoryPlan memory,
    long optimizerBytes,
    Exchange exchange,
    @Nullable Rates rates,
    @Nullable Seconds seconds,
    PlanTable plans,
    Submit submit) {
  /**
   * @param batch examples of a step
   * @param microBatches that they are cut into
   * @param tasks that share a step
   * @param sampledSteps whose micro-batches were looked at
   * @param padding share of the computed tokens
   */
  public record Run(
      long steps,
      int batch,
      int microBatches,
      int tasks,
      int executors,
      long examples,
      int sampledSteps,
      double tokensPerStep,
      double padding) {}

  /**
   * @param flops of all tasks
   * @param bytes that operations read and write
   * @param secondsOfATask by kind of operation, all tasks together; none without rates
   */
  public record StepWork(double flops, double bytes, Map<Kind, Double> secondsOfATask) {}

  /**
   * Sizes of JVMs that are enough, as spark-submit's options.
   *
   * @param local where one JVM is all
   */
  public record Submit(String local, String cluster) {}

  /**
   * @param bytesDown trainables, once for each executor; where workers are averaged, optimiser
   *     state and changes of the base too
   * @param bytesUp exact sums, one from each task or host, or what each worker brings
   */
  public record Exchange(long bytesDown, long bytesUp) {}

  /**
   * @param compute of the slowest task
   * @param exchange broadcast, stage, sums and their merge; where hosts add sums, of the first
   *     stage and tasks' sums all the same
   * @param step both
   * @param run all steps, evaluations not counted
   */
  public record Seconds(double compute, double exchange, double step, double run) {
    /** Of so many steps. */
    public static Seconds of(double compute, double exchange, long steps) {
      return new Seconds(compute, exchange, compute + exchange, steps * (compute + exchange));
    }
  }

  /** Work of an average step of a sample. */
  public static StepWork work(Sample sample, StepCost cost, @Nullable Rates rates) {
    double flops = 0;
    double bytes = 0;
    Map<Kind, Double> seconds = new EnumMap<>(Kind.class);
    int steps = sample.steps().size();
    for (List<List<Size>> step : sample.steps()) {
      for (List<Size> task : step) {
        for (Size size : task) {
          Cost one = cost.of(size.shape());
          flops += one.flops() / (double) steps;
          bytes += one.bytes() / (double) steps;
          for (Kind kind : rates == null ? new Kind[0] : Kind.values()) {
            seconds.merge(kind, one.seconds(kind, rates) / steps, Double::sum);
          }
        }
      }
    }
    return new StepWork(flops, bytes, seconds);
  }

  /** Seconds of an average step: its slowest task's. */
  public static double compute(Sample sample, StepCost cost, Rates rates) {
    return sample.steps().stream()
        .mapToDouble(
            step ->
                step.stream()
                    .mapToDouble(
                        task ->
                            task.stream()
                                .mapToDouble(size -> cost.of(size.shape()).seconds(rates))
                                .sum())
                    .max()
                    .orElse(0))
        .average()
        .orElse(0);
  }
}
