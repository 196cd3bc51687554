package dev.kindling.tensor.cpu;

import dev.kindling.tensor.Tensor;
import java.nio.FloatBuffer;

/**
 * Mutable: the input gradient of an RMS norm, row by row on all workers. With g = dy ∘ gamma and s
 * = 1 / √(mean square + epsilon), dx = s · (g − x · s² · mean(g ∘ x)).
 *
 * <p>oneDNN 3.11 has no such primitive of its own: its backward of an RMS norm subtracts mean(g)
 * too, and to add that again by two products takes 3.2 ms for [2,048, 512], the loop here a quarter
 * of that (bench/results/onednn.md).
 */
public final class RmsGradient {
  private final Workers workers;
  private final Lines lines;
  private float[] scale = new float[0];

  /**
   * @param workers whose threads run it
   */
  public RmsGradient(Workers workers) {
    this.workers = workers;
    this.lines = new Lines(workers);
  }

  /**
   * Computes dx from dy.
   *
   * @param gamma [D], F32
   * @param squares the rows' mean squares, [N], F32
   */
  public void of(Tensor dy, Tensor x, Tensor gamma, double epsilon, Tensor squares, Tensor dx) {
    int d = gamma.columns();
    if (scale.length != d) {
      scale = new float[d];
    }
    CpuMemory.floats(gamma).get(0, scale);
    Elements above = Elements.of(dy);
    Elements in = Elements.of(x);
    Elements below = Elements.of(dx);
    FloatBuffer moments = CpuMemory.floats(squares);
    workers.eachRow(
        x.rows(),
        (worker, row) -> {
          float[] g = lines.first(worker, d);
          float[] v = lines.second(worker, d);
          above.get(row * d, g, d);
          in.get(row * d, v, d);
          multiply(g, scale, d);
          float s = (float) (1 / Math.sqrt(moments.get(row) + epsilon));
          float mean = s * s * (Lines.dot(g, v, d) / d);
          for (int c = 0; c < d; c++) {
            g[c] = s * (g[c] - v[c] * mean);
          }
          below.put(row * d, g, 0, d);
        });
  }

  private static void multiply(float[] g, float[] by, int d) {
    for (int c = 0; c < d; c++) {
      g[c] *= by[c];
    }
  }
}
