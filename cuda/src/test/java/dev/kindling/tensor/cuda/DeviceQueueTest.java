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
    try (Backend backend = OnDevice.open(Precision.FP32)) {
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
    }
  }

  /** Nobody waits for short ones, and the next long one takes the place of the last. */
  @Test
  void uploads_oneAfterAnother_arriveWhole() {
    try (Backend backend = OnDevice.open(Precision.FP32)) {
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

  /** Products with a bias and without, of one kind at other addresses, in graphs too. */
  @Test
  void products_withABias_haveTheSum() {
    for (Precision precision : Precision.values()) {
      try (Backend backend = OnDevice.open(precision)) {
        Tensor x = ones(backend, backend.active(), 24, 16);
        Tensor bias = ones(backend, DType.F32, 1, 19);
        Tensor y = backend.allocate(backend.active(), 24, 16);
        FrozenMatrix[] w = new FrozenMatrix[8];
        for (int i = 0; i < w.length; i++) {
          w[i] = backend.freeze(ones(backend, backend.active(), 16, 16));
        }
        float[] values = new float[24 * 16];
        for (int round = 0; round < 4; round++) {
          for (int i = 0; i < w.length; i++) {
            backend.linear(x, w[i], bias.slice(i % 4, 16), y, i > 0);
          }
          backend.read(y, values);
          assertThat(values).as("%s", precision).containsOnly(17 * w.length);
          for (FrozenMatrix one : w) {
            backend.linear(x, one, null, y, false);
          }
          backend.read(y, values);
          assertThat(values).as("%s", precision).containsOnly(16);
        }
      }
    }
  }

  private static Tensor ones(Backend backend, DType type, int rows, int columns) {
    float[] values = new float[rows * columns];
    Arrays.fill(values, 1);
    Tensor tensor = backend.allocate(type, rows, columns);
    backend.write(tensor, 0, values, 0, values.length);
    return tensor;
  }
}
