package dev.kindling.tensor.onednn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.BackendContract;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The contract in fp32 with two threads, and attention with up to three. */
class OneDnnThreadsTest extends BackendContract {
  @Override
  protected Backend open() {
    return new OneDnnBackend(Precision.FP32, 2);
  }

  @ParameterizedTest
  @EnumSource(names = {"FP32", "BF16"})
  void attention_anyNumberOfThreads_sameBits(Precision precision) {
    assumeTrue(precision == Precision.FP32 || InstructionSet.multipliesBf16());
    List<List<float[]>> found = new ArrayList<>();
    for (int threads : new int[] {1, 2, 3}) {
      try (Backend backend = new OneDnnBackend(precision, threads)) {
        found.add(attention(backend));
      }
    }
    for (int tensor = 0; tensor < found.get(0).size(); tensor++) {
      assertThat(found.get(1).get(tensor)).isEqualTo(found.get(0).get(tensor));
      assertThat(found.get(2).get(tensor)).isEqualTo(found.get(0).get(tensor));
    }
  }

  /** context, dq, dk and dv of two rows, one of them short, of twelve heads over six. */
  private static List<float[]> attention(Backend backend) {
    AttentionShape shape = new AttentionShape(2, 150, 12, 6, 8, true);
    Random random = new Random(3);
    Tensor q = filled(backend, random, 300, shape.hidden());
    Tensor k = filled(backend, random, 300, shape.kvHidden());
    Tensor v = filled(backend, random, 300, shape.kvHidden());
    Tensor dcontext = filled(backend, random, 300, shape.hidden());
    Tensor starts = backend.allocate(DType.I32, 300);
    Tensor ends = backend.allocate(DType.I32, 2 * 150);
    int[] last = new int[2 * 150];
    Arrays.setAll(last, i -> i < 150 ? i + 1 : Math.min(i - 149, 77));
    backend.write(ends, last);
    Tensor kept = backend.allocate(backend.active(), backend.attentionKept(shape));
    Tensor scratch = backend.allocate(backend.real(), backend.attentionScratch(shape));
    Tensor context = backend.allocate(backend.active(), 300, shape.hidden());
    Tensor dq = backend.allocate(backend.active(), 300, shape.hidden());
    Tensor dk = backend.allocate(backend.active(), 300, shape.kvHidden());
    Tensor dv = backend.allocate(backend.active(), 300, shape.kvHidden());
    backend.attention(shape, q, k, v, starts, ends, kept, context, scratch);
    backend.attentionBackward(
        shape, q, k, v, starts, ends, kept, context, dcontext, dq, dk, dv, scratch);
    List<float[]> found = new ArrayList<>();
    for (Tensor t : List.of(context, dq, dk, dv)) {
      float[] values = new float[(int) t.elements()];
      backend.read(t, values);
      found.add(values);
    }
    return found;
  }

  private static Tensor filled(Backend backend, Random random, long... shape) {
    Tensor t = backend.allocate(backend.active(), shape);
    float[] values = new float[(int) t.elements()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    backend.write(t, 0, values, 0, values.length);
    return t;
  }
}
