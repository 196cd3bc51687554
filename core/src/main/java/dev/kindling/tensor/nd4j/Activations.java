package dev.kindling.tensor.nd4j;

import static dev.kindling.tensor.nd4j.Nd4jMemory.floats;

import dev.kindling.tensor.Activation;
import dev.kindling.tensor.Tensor;
import java.nio.FloatBuffer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.transforms.strict.Erf;
import org.nd4j.linalg.factory.Nd4j;

/** GELU by ND4J's erf (not its GELU op, which is up to 2e-2 off), and tanh. */
final class Activations {
  private static final float INVERSE_SQRT_2 = (float) Math.sqrt(0.5);
  private static final double INVERSE_SQRT_2_PI = 1 / Math.sqrt(2 * Math.PI);

  private Activations() {}

  static void forward(Activation kind, Tensor x, Tensor y) {
    FloatBuffer in = floats(x);
    FloatBuffer out = floats(y);
    int n = Math.toIntExact(x.elements());
    switch (kind) {
      case GELU -> {
        for (int i = 0; i < n; i++) {
          out.put(i, in.get(i) * INVERSE_SQRT_2);
        }
        INDArray flat = Nd4jBackend.array(y, n);
        Nd4j.getExecutioner().exec(new Erf(flat, flat));
        for (int i = 0; i < n; i++) {
          out.put(i, 0.5f * in.get(i) * (1 + out.get(i)));
        }
      }
      case TANH -> {
        for (int i = 0; i < n; i++) {
          out.put(i, (float) Math.tanh(in.get(i)));
        }
      }
    }
  }

  /** GELU′ = Φ + x·φ, where Φ = y/x needs no second erf. */
  static void backward(Activation kind, Tensor x, Tensor y, Tensor dy, Tensor dx) {
    FloatBuffer in = floats(x);
    FloatBuffer out = floats(y);
    FloatBuffer above = floats(dy);
    FloatBuffer below = floats(dx);
    int n = Math.toIntExact(x.elements());
    switch (kind) {
      case GELU -> {
        for (int i = 0; i < n; i++) {
          float v = in.get(i);
          float cumulative = Math.abs(v) < 1e-30f ? 0.5f : out.get(i) / v;
          float density = (float) (INVERSE_SQRT_2_PI * Math.exp(-0.5 * v * v));
          below.put(i, above.get(i) * (cumulative + v * density));
        }
      }
      case TANH -> {
        for (int i = 0; i < n; i++) {
          float t = out.get(i);
          below.put(i, above.get(i) * (1 - t * t));
        }
      }
    }
  }
}
