package dev.kindling.tensor.nd4j;

import static dev.kindling.tensor.cpu.CpuMemory.floats;

import dev.kindling.tensor.Activation;
import dev.kindling.tensor.Tensor;
import java.nio.FloatBuffer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.transforms.strict.Erf;
import org.nd4j.linalg.factory.Nd4j;

/** GELU by ND4J's erf (not its GELU op, which is up to 2e-2 off); the others by plain loops. */
final class Activations {
  private static final float INVERSE_SQRT_2 = (float) Math.sqrt(0.5);
  private static final double SQRT_2_PI = Math.sqrt(2 / Math.PI);
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
        INDArray flat = Arrays.array(y, n);
        Nd4j.getExecutioner().exec(new Erf(flat, flat));
        for (int i = 0; i < n; i++) {
          out.put(i, 0.5f * in.get(i) * (1 + out.get(i)));
        }
      }
      case GELU_TANH -> {
        for (int i = 0; i < n; i++) {
          double v = in.get(i);
          out.put(i, (float) (0.5 * v * (1 + Math.tanh(inner(v)))));
        }
      }
      case SILU -> {
        for (int i = 0; i < n; i++) {
          double v = in.get(i);
          out.put(i, (float) (v * sigmoid(v)));
        }
      }
      case TANH -> {
        for (int i = 0; i < n; i++) {
          out.put(i, (float) Math.tanh(in.get(i)));
        }
      }
    }
  }

  static void swiGlu(Tensor gate, Tensor up, Tensor out) {
    FloatBuffer g = floats(gate);
    FloatBuffer u = floats(up);
    FloatBuffer y = floats(out);
    for (int i = 0, n = Math.toIntExact(out.elements()); i < n; i++) {
      double v = g.get(i);
      y.put(i, (float) (v * sigmoid(v) * u.get(i)));
    }
  }

  static void swiGluBackward(Tensor gate, Tensor up, Tensor dout, Tensor dgate, Tensor dup) {
    FloatBuffer g = floats(gate);
    FloatBuffer u = floats(up);
    FloatBuffer dy = floats(dout);
    FloatBuffer dg = floats(dgate);
    FloatBuffer du = floats(dup);
    for (int i = 0, n = Math.toIntExact(dout.elements()); i < n; i++) {
      double v = g.get(i);
      double above = dy.get(i);
      double slope = above * u.get(i) * siluSlope(v);
      du.put(i, (float) (above * v * sigmoid(v)));
      dg.put(i, (float) slope);
    }
  }

  private static double sigmoid(double v) {
    return 1 / (1 + Math.exp(-v));
  }

  private static double siluSlope(double v) {
    double s = sigmoid(v);
    return s * (1 + v * (1 - s));
  }

  private static double inner(double v) {
    return SQRT_2_PI * (v + 0.044715 * v * v * v);
  }

  private static double innerSlope(double v) {
    return SQRT_2_PI * (1 + 3 * 0.044715 * v * v);
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
      case GELU_TANH -> {
        for (int i = 0; i < n; i++) {
          double v = in.get(i);
          double t = Math.tanh(inner(v));
          double slope = 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * innerSlope(v);
          below.put(i, (float) (above.get(i) * slope));
        }
      }
      case SILU -> {
        for (int i = 0; i < n; i++) {
          below.put(i, (float) (above.get(i) * siluSlope(in.get(i))));
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
