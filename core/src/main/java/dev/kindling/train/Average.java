package dev.kindling.train;

import java.util.List;
import java.util.function.Function;

/**
 * The workers' mean, each weighted by the targets that it learned from, summed in double in the
 * workers' order. The mean of one is that one.
 *
 * @param trainables mean
 * @param state mean of the optimisers' states: of second moments no more than a heuristic
 */
record Average(float[] trainables, float[] state) {
  /**
   * @param workers at least one of them with a target
   */
  static Average of(List<WorkerResult> workers) {
    return new Average(mean(workers, WorkerResult::trainables), mean(workers, WorkerResult::state));
  }

  private static float[] mean(List<WorkerResult> workers, Function<WorkerResult, float[]> of) {
    double[] sum = new double[of.apply(workers.get(0)).length];
    long targets = 0;
    for (WorkerResult worker : workers) {
      double weight = worker.targets();
      targets += worker.targets();
      float[] values = of.apply(worker);
      for (int i = 0; i < sum.length; i++) {
        sum[i] += weight * values[i];
      }
    }
    float[] mean = new float[sum.length];
    for (int i = 0; i < sum.length; i++) {
      mean[i] = (float) (sum[i] / targets);
    }
    return mean;
  }
}
