package dev.kindling.job;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.model.BatchResult;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Golden;
import dev.kindling.model.Model;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Parameter averaging again, in double and from the definitions, but for the gradient of a share.
 */
final class PlainAveraging {
  private PlainAveraging() {}

  /**
   * Where it ends.
   *
   * @param theta the trainables
   * @param moved what has been added to the base's weights, as they are stored, by name
   */
  record End(double[] theta, Map<String, double[]> moved) {}

  /** The same, with what averages of pairs leave out put into the base (FedEx-LoRA). */
  static End withResiduals(Golden golden, int workers, int frequency) {
    Map<String, double[]> moved = new HashMap<>();
    return new End(of(golden, workers, frequency, 1, 0, moved, true), moved);
  }

  /** The trainables after all steps. */
  static double[] of(Golden golden, int workers, int frequency, double outerRate, double momentum) {
    return of(golden, workers, frequency, outerRate, momentum, new HashMap<>(), false);
  }

  private static double[] of(
      Golden golden,
      int workers,
      int frequency,
      double outerRate,
      double momentum,
      Map<String, double[]> moved,
      boolean residuals) {
    int n = golden.layout.elements();
    double[] theta = doubles(golden.adapter.values(golden.layout));
    double[] first = new double[n];
    double[] second = new double[n];
    double[] velocity = new double[n];
    var settings = golden.optimizer();
    try (Backend backend = new OneDnnBackend(Precision.FP32, 1)) {
      for (int from = 0; from < golden.steps(); from += frequency) {
        Model model =
            golden.plan.build(backend, base(golden, backend, moved), golden.layout, false);
        List<Double> weights = new ArrayList<>();
        List<double[]> ends = new ArrayList<>();
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
          ends.add(x);
          weights.add(targets);
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
        model.close();
        if (residuals) {
          for (int k = 0; k < workers; k++) {
            addProducts(golden, ends.get(k), weights.get(k) / all, moved);
          }
          addProducts(golden, theta, -1, moved);
        }
      }
    }
    return theta;
  }

  /** Adds weight·s·B·A of each pair to what the base has moved, entry by entry. */
  private static void addProducts(
      Golden golden, double[] x, double weight, Map<String, double[]> moved) {
    for (LinearModule m : golden.plan.linears()) {
      if (golden.layout.find(m.name(), Role.A).isEmpty()) {
        continue;
      }
      int a = golden.layout.find(m.name(), Role.A).get().offset();
      int b = golden.layout.find(m.name(), Role.B).get().offset();
      int r = golden.layout.settings().r();
      double[] w = moved.computeIfAbsent(m.weight(), name -> new double[m.out() * m.in()]);
      for (int i = 0; i < m.out(); i++) {
        for (int j = 0; j < m.in(); j++) {
          double sum = 0;
          for (int k = 0; k < r; k++) {
            sum += x[b + i * r + k] * x[a + k * m.in() + j];
          }
          int at = m.turned() ? j * m.out() + i : i * m.in() + j;
          w[at] += weight * golden.layout.settings().scale() * sum;
        }
      }
    }
  }

  /** The base, moved. */
  private static FrozenWeights base(Golden golden, Backend backend, Map<String, double[]> moved) {
    List<WeightSlot> slots = golden.plan.weights(golden.layout);
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, Storage.FP32);
    for (WeightSlot slot : slots) {
      float[] w = golden.base.find(slot.name()).orElseThrow().floats();
      double[] way = moved.getOrDefault(slot.name(), new double[w.length]);
      ByteBuffer bytes = ByteBuffer.allocate(4 * w.length).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < w.length; i++) {
        bytes.putFloat((float) (w[i] + way[i]));
      }
      loader.accept(slot, 0, bytes.flip(), StoredType.F32);
    }
    return loader.finish();
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
