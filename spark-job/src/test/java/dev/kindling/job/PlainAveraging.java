package dev.kindling.job;

import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.model.BatchResult;
import dev.kindling.model.Golden;
import dev.kindling.model.Model;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.util.ArrayList;
import java.util.List;

/**
 * Parameter averaging again, in double and from the definitions, but for the gradient of a share.
 */
final class PlainAveraging {
  private PlainAveraging() {}

  /** The trainables after all steps. */
  static double[] of(Golden golden, int workers, int frequency, double outerRate, double momentum) {
    int n = golden.layout.elements();
    double[] theta = doubles(golden.adapter.values(golden.layout));
    double[] first = new double[n];
    double[] second = new double[n];
    double[] velocity = new double[n];
    var settings = golden.optimizer();
    try (Backend backend = new OneDnnBackend(Precision.FP32, 1);
        Model model = golden.model(backend)) {
      for (int from = 0; from < golden.steps(); from += frequency) {
        double[][] means = new double[3][n];
        double all = 0;
        for (int k = 0; k < workers; k++) {
          double[] x = theta.clone();
          double[] m = first.clone();
          double[] v = second.clone();
          double targets = 0;
          for (int s = from; s < Math.min(golden.steps(), from + frequency); s++) {
            double rate = settings.learningRate() * settings.schedule().factor(s);
            double[] g = new double[n];
            targets += gradient(golden, model, s, k, workers, x, g);
            for (int i = 0; i < n; i++) {
              m[i] = 0.9 * m[i] + 0.1 * g[i];
              v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
              double mean = m[i] / (1 - Math.pow(0.9, s + 1));
              double square = v[i] / (1 - Math.pow(0.999, s + 1));
              x[i] =
                  x[i] * (1 - rate * settings.weightDecay())
                      - rate * mean / (Math.sqrt(square) + 1e-8);
            }
          }
          all += targets;
          for (int i = 0; i < n; i++) {
            means[0][i] += targets * x[i];
            means[1][i] += targets * m[i];
            means[2][i] += targets * v[i];
          }
        }
        for (int i = 0; i < n; i++) {
          first[i] = means[1][i] / all;
          second[i] = means[2][i] / all;
          double way = theta[i] - means[0][i] / all;
          velocity[i] = momentum * velocity[i] + way;
          theta[i] -= outerRate * (way + momentum * velocity[i]);
        }
      }
    }
    return theta;
  }

  /** Mean gradient of a worker's share, clipped; returns its targets. */
  private static double gradient(
      Golden golden, Model model, int step, int worker, int workers, double[] x, double[] g) {
    List<Example> batch = golden.batch(step);
    List<Example> share = new ArrayList<>();
    for (int j = 0; j < batch.size(); j++) {
      if (j * workers / batch.size() == worker) {
        share.add(batch.get(j));
      }
    }
    float[] sums = new float[g.length];
    float[] values = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      values[i] = (float) x[i];
    }
    model.load(values);
    BatchResult result = model.gradient(TokenBatch.of(share, golden.plan.rules()), sums);
    double squares = 0;
    for (int i = 0; i < g.length; i++) {
      g[i] = sums[i] / (double) result.targets();
      squares += g[i] * g[i];
    }
    double most = golden.maxGradNorm();
    double factor = most == 0 ? 1 : Math.min(1, most / (Math.sqrt(squares) + 1e-6));
    for (int i = 0; i < g.length; i++) {
      g[i] *= factor;
    }
    return result.targets();
  }

  private static double[] doubles(float[] values) {
    double[] all = new double[values.length];
    for (int i = 0; i < all.length; i++) {
      all[i] = values[i];
    }
    return all;
  }
}
