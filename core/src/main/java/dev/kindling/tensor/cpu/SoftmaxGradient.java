package dev.kindling.tensor.cpu;

import dev.kindling.tensor.Tensor;
import java.nio.FloatBuffer;

/**
 * Mutable: the input gradient of a softmax over rows, dx = p ∘ (dp − Σ p ∘ dp), for a CPU with AVX2
 * alone, for which oneDNN 3.11 generates no such code: its reference takes 13.8 ns an element on
 * Zen 3, a tenth of a step (bench/results/onednn.md).
 */
public final class SoftmaxGradient {
  private final Lines lines;

  /**
   * @param workers that may call, each for rows of its own
   */
  public SoftmaxGradient(Workers workers) {
    this.lines = new Lines(workers);
  }

  /**
   * Turns dp into dx.
   *
   * @param worker who calls
   * @param p probabilities, F32, rows of {@code keys}
   * @param dp of the same size
   */
  public void of(int worker, Tensor p, Tensor dp, int keys) {
    FloatBuffer chances = CpuMemory.floats(p);
    FloatBuffer slopes = CpuMemory.floats(dp);
    float[] chance = lines.first(worker, keys);
    float[] slope = lines.second(worker, keys);
    for (int at = 0; at < p.elements(); at += keys) {
      chances.get(at, chance, 0, keys);
      slopes.get(at, slope, 0, keys);
      float mean = Lines.dot(chance, slope, keys);
      for (int k = 0; k < keys; k++) {
        slope[k] = chance[k] * (slope[k] - mean);
      }
      slopes.put(at, slope, 0, keys);
    }
  }
}
