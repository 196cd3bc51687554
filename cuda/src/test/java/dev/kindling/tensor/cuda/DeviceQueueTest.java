package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Backend.Arriving;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What a queue puts off, does at once or does beside, on a GPU: sums that are whole numbers. */
class DeviceQueueTest {
  /** Elements of what is copied beside the work: 1 MiB. */
  private static final int LARGE = 1 << 18;

  private static final int ROUNDS = 6;

  /** Steps that come again: small uploads, works of two graphs, a large copy and a small one. */
  @Test
  void steps_thatComeAgain_haveWhatTheyWouldOneByOne() {
    try (Opened opened = new Opened(Precision.FP32)) {
      Backend backend = opened.backend;
      Tensor gradient = backend.allocate(DType.F32, LARGE);
      Tensor one = backend.allocate(DType.F32, LARGE);
      Tensor step = backend.allocate(DType.F32, 4);
      Tensor losses = backend.allocate(DType.F32, 4);
      float[] ones = new float[LARGE];
      Arrays.fill(ones, 1);
      backend.write(one, 0, ones, 0, LARGE);
      float[][] gradients = new float[ROUNDS][LARGE];
      float[][] told = new float[ROUNDS][4];
      Arriving[] arriving = new Arriving[2 * ROUNDS];
      for (int round = 0; round < ROUNDS; round++) {
        if (round > 1) { // two are under way at a time
          arriving[2 * round - 4].await();
          arriving[2 * round - 3].await();
        }
        float[] number = {round, round, round, round};
        backend.write(step, 0, number, 0, 4);
        Arrays.fill(number, -1); // it is ours again
        for (int i = 0; i < 300; i++) {
          backend.add(losses, step, losses);
        }
        backend.add(gradient, one, gradient);
        arriving[2 * round] = backend.fetch(gradient, gradients[round]);
        arriving[2 * round + 1] = backend.fetch(losses, told[round]);
      }
      for (int i = 2 * ROUNDS - 4; i < 2 * ROUNDS; i++) {
        arriving[i].await();
      }
      float loss = 0;
      for (int round = 0; round < ROUNDS; round++) {
        loss += 300 * round;
        assertThat(gradients[round]).as("round %d", round).containsOnly(round + 1);
        assertThat(told[round]).as("round %d", round).containsOnly(loss);
      }
      assertThat(opened.queue.replayed()).as("works of graphs").isPositive();
    }
  }

  /** Nobody waits for short ones, and the next long one takes the place of the last. */
  @Test
  void uploads_oneAfterAnother_arriveWhole() {
    try (Opened opened = new Opened(Precision.FP32)) {
      Backend backend = opened.backend;
      Tensor[] tensors = new Tensor[12];
      for (int i = 0; i < tensors.length; i++) {
        int elements = i < 8 ? LARGE / 3 : LARGE;
        float[] values = new float[elements];
        Arrays.fill(values, i);
        tensors[i] = backend.allocate(DType.F32, elements);
        backend.write(tensors[i], 0, values, 0, elements);
      }
      for (int i = 0; i < tensors.length; i++) {
        float[] values = new float[(int) tensors[i].elements()];
        backend.read(tensors[i], values);
        assertThat(values).as("upload %d", i).containsOnly(i);
      }
    }
  }

  /** Products of one kind, with biases and without, in graphs too: no number is another's. */
  @Test
  void products_withABias_haveTheSum() {
    for (Precision precision : Precision.values()) {
      try (Opened opened = new Opened(precision)) {
        Backend backend = opened.backend;
        Tensor x = Filled.of(backend, backend.active(), 24, 16, i -> 1f / 16);
        Tensor bias = Filled.of(backend, DType.F32, 1, 19, i -> i);
        Tensor y = backend.allocate(backend.active(), 24, 16);
        FrozenMatrix[] w = new FrozenMatrix[8];
        for (int k = 0; k < w.length; k++) {
          int number = k + 1;
          w[k] = backend.freeze(Filled.of(backend, backend.active(), 16, 16, i -> number));
        }
        float[] values = new float[24 * 16];
        for (int round = 0; round < 4; round++) {
          for (int k = 0; k < w.length; k++) { // 36 of the products; biases begin at 0, 1, 2, 3
            backend.linear(x, w[k], bias.slice(k % 4, 16), y, k > 0);
          }
          backend.read(y, values);
          for (int i = 0; i < values.length; i++) {
            assertThat(values[i]).as("%s, %d", precision, i).isEqualTo(36 + 8 * (i % 16) + 12);
          }
          for (FrozenMatrix one : w) {
            backend.linear(x, one, null, y, false);
          }
          backend.read(y, values);
          assertThat(values).as("%s", precision).containsOnly(w.length);
        }
        assertThat(opened.queue.replayed()).as("works of graphs").isPositive();
      }
    }
  }

  /** A backend on a queue of its own, which takes all its memory with it. */
  private static final class Opened implements AutoCloseable {
    final WorkQueue queue;
    final Backend backend;

    Opened(Precision precision) {
      OnDevice.open(precision).close(); // or the test is skipped
      queue = WorkQueue.of(new CudaDriver(0, precision));
      backend = new CudaBackend(precision, queue, CudaBackend.MOST_SCORES);
    }

    @Override
    public void close() {
      backend.close();
      queue.close();
    }
  }
}
