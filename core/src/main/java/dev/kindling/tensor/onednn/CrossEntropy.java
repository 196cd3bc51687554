package dev.kindling.tensor.onednn;

import static dev.kindling.tensor.Backend.IGNORED;
import static dev.kindling.tensor.cpu.CpuMemory.floats;
import static dev.kindling.tensor.cpu.CpuMemory.ints;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import dev.kindling.tensor.cpu.Elements;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import org.bytedeco.dnnl.global.dnnl.algorithm;
import org.jspecify.annotations.Nullable;

/** Softmax cross entropy of rows of logits, and its gradient. */
final class CrossEntropy {
  private final Softmax softmax;
  private final Elementwise elementwise;

  CrossEntropy(Softmax softmax, Elementwise elementwise) {
    this.softmax = softmax;
    this.elementwise = elementwise;
  }

  /**
   * Log-softmax in place, whose entry at the label is the loss and whose exponential the rest; for
   * BF16 by a softmax of the logarithms, which is itself, since that narrows as it writes: one pass
   * over what is far larger than a cache instead of two.
   */
  void of(Tensor logits, Tensor labels, Tensor losses, @Nullable Tensor dlogits) {
    Operand rows = Operand.matrix(logits);
    softmax.logarithm(rows, rows);
    int classes = logits.columns();
    FloatBuffer logarithms = floats(logits);
    IntBuffer targets = ints(labels);
    for (int n = 0; n < logits.rows(); n++) {
      int label = targets.get(n);
      floats(losses).put(n, label == IGNORED ? 0f : -logarithms.get(n * classes + label));
    }
    if (dlogits == null) {
      return;
    }
    boolean half = dlogits.type() == DType.BF16;
    if (half) {
      softmax.forward(rows, Operand.matrix(dlogits));
    } else {
      elementwise.apply(algorithm.eltwise_exp, logits, dlogits);
    }
    Elements gradient = Elements.of(dlogits);
    for (int n = 0; n < logits.rows(); n++) {
      int label = targets.get(n);
      int at = n * classes;
      if (label == IGNORED) {
        CpuMemory.zero(dlogits.slice(at, classes));
      } else {
        // Not from what is rounded already: where the model is sure, 1 less is all that is left.
        double p = half ? Math.exp(logarithms.get(at + label)) : gradient.get(at + label);
        gradient.put(at + label, (float) (p - 1));
      }
    }
  }
}
