package dev.kindling.tensor.nd4j;

import dev.kindling.tensor.Backend;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import org.jspecify.annotations.Nullable;

/** Loops that normalise rows: layer norm and softmax cross entropy. Sums are kept in double. */
final class Norms {
  private Norms() {}

  static void layerNorm(
      FloatBuffer x,
      FloatBuffer gamma,
      FloatBuffer beta,
      double epsilon,
      FloatBuffer y,
      FloatBuffer statistics,
      int rows,
      int d) {
    for (int row = 0; row < rows; row++) {
      int at = row * d;
      double sum = 0;
      for (int c = 0; c < d; c++) {
        sum += x.get(at + c);
      }
      float mean = (float) (sum / d);
      double squares = 0;
      for (int c = 0; c < d; c++) {
        double off = x.get(at + c) - mean;
        squares += off * off;
      }
      float inverse = (float) (1 / Math.sqrt(squares / d + epsilon));
      for (int c = 0; c < d; c++) {
        y.put(at + c, (x.get(at + c) - mean) * inverse * gamma.get(c) + beta.get(c));
      }
      statistics.put(2 * row, mean);
      statistics.put(2 * row + 1, inverse);
    }
  }

  /**
   * With n = (x − mean)·inverse and g = dy·gamma, each row's dx = inverse · (g − mean(g) − n ·
   * mean(g·n)).
   */
  static void layerNormBackward(
      FloatBuffer dy,
      FloatBuffer x,
      FloatBuffer gamma,
      FloatBuffer statistics,
      FloatBuffer dx,
      int rows,
      int d) {
    for (int row = 0; row < rows; row++) {
      int at = row * d;
      float mean = statistics.get(2 * row);
      float inverse = statistics.get(2 * row + 1);
      double sum = 0;
      double product = 0;
      for (int c = 0; c < d; c++) {
        float g = dy.get(at + c) * gamma.get(c);
        sum += g;
        product += g * ((x.get(at + c) - mean) * inverse);
      }
      float meanG = (float) (sum / d);
      float meanGn = (float) (product / d);
      for (int c = 0; c < d; c++) {
        float g = dy.get(at + c) * gamma.get(c);
        float n = (x.get(at + c) - mean) * inverse;
        dx.put(at + c, inverse * (g - meanG - n * meanGn));
      }
    }
  }

  static void rmsNorm(
      FloatBuffer x,
      FloatBuffer gamma,
      double epsilon,
      FloatBuffer y,
      FloatBuffer statistics,
      int rows,
      int d) {
    for (int row = 0; row < rows; row++) {
      int at = row * d;
      double squares = 0;
      for (int c = 0; c < d; c++) {
        double v = x.get(at + c);
        squares += v * v;
      }
      float inverse = (float) (1 / Math.sqrt(squares / d + epsilon));
      for (int c = 0; c < d; c++) {
        y.put(at + c, x.get(at + c) * inverse * gamma.get(c));
      }
      statistics.put(row, inverse);
    }
  }

  /** With g = dy·gamma, each row's dx = inverse · (g − x · inverse² · mean(g·x)). */
  static void rmsNormBackward(
      FloatBuffer dy,
      FloatBuffer x,
      FloatBuffer gamma,
      FloatBuffer statistics,
      FloatBuffer dx,
      int rows,
      int d) {
    for (int row = 0; row < rows; row++) {
      int at = row * d;
      float inverse = statistics.get(row);
      double product = 0;
      for (int c = 0; c < d; c++) {
        product += (double) dy.get(at + c) * gamma.get(c) * x.get(at + c);
      }
      float mean = (float) (product / d * inverse * inverse);
      for (int c = 0; c < d; c++) {
        dx.put(at + c, inverse * (dy.get(at + c) * gamma.get(c) - x.get(at + c) * mean));
      }
    }
  }

  static void crossEntropy(
      FloatBuffer logits,
      IntBuffer labels,
      FloatBuffer losses,
      @Nullable FloatBuffer dlogits,
      int rows,
      int classes) {
    for (int row = 0; row < rows; row++) {
      int at = row * classes;
      int label = labels.get(row);
      boolean counts = label != Backend.IGNORED;
      float largest = Float.NEGATIVE_INFINITY;
      for (int c = 0; c < classes; c++) {
        largest = Math.max(largest, logits.get(at + c));
      }
      double sum = 0;
      for (int c = 0; c < classes; c++) {
        sum += Math.exp(logits.get(at + c) - largest);
      }
      losses.put(row, counts ? (float) (Math.log(sum) + largest - logits.get(at + label)) : 0f);
      if (dlogits != null) {
        for (int c = 0; c < classes; c++) {
          double p = Math.exp(logits.get(at + c) - largest) / sum;
          dlogits.put(at + c, counts ? (float) (c == label ? p - 1 : p) : 0f);
        }
      }
    }
  }
}
