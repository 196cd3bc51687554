package dev.kindling.nn;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import java.util.Random;

/** Real tensors of normal numbers, the same for the same seed. */
record Drawn(Random random) {
  float[] floats(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  Tensor tensor(Backend backend, long... shape) {
    Tensor t = backend.allocate(backend.real(), shape);
    backend.write(t, 0, floats((int) t.elements()), 0, (int) t.elements());
    return t;
  }

  static float[] read(Backend backend, Tensor t) {
    float[] values = new float[(int) t.elements()];
    backend.read(t, values);
    return values;
  }

  /** ‖found − wanted‖ / ‖wanted‖. */
  static double distance(float[] found, float[] wanted) {
    double off = 0;
    double norm = 1e-30;
    for (int i = 0; i < wanted.length; i++) {
      off += Math.pow(found[i] - wanted[i], 2);
      norm += Math.pow(wanted[i], 2);
    }
    return Math.sqrt(off / norm);
  }
}
