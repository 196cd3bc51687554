package dev.kindling.job.config;

import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.Schedule;
import java.util.Optional;
import java.util.OptionalDouble;

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
