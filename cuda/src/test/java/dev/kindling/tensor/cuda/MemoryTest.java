package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What the backend takes of a device it gives back, and touches nothing else. */
class MemoryTest {
  private final Shimmed backend = Shimmed.open(Precision.FP32, CudaBackend.MOST_SCORES);
  private final StrictDriver driver = backend.driver();

  @AfterEach
  void close() {
    backend.queue().close();
  }

  @Test
  void allocate_anySize_isZeroAndFreedOnce() {
    Tensor tensor = backend.allocate(DType.F32, 3, 5);
    Tensor none = backend.allocate(DType.I32, 0);
    assertThat(driver.liveBytes()).isEqualTo(3 * 5 * 4 + 4);
    float[] zeros = new float[15];
    zeros[7] = 1;
    backend.read(tensor, zeros);
    assertThat(zeros).containsOnly(0);
    backend.free(tensor);
    backend.free(none);
    assertThat(driver.liveBytes()).isZero();
    assertThatThrownBy(() -> backend.free(tensor)).hasMessageContaining("is free already");
    assertThatThrownBy(() -> backend.read(tensor, zeros)).hasMessageContaining("download");
    assertThatThrownBy(() -> backend.zero(tensor)).hasMessageContaining("clear");
    assertThatThrownBy(() -> backend.add(tensor, tensor, tensor)).hasMessageContaining("add");
  }

  @Test
  void product_intoItsOperand_isFound() {
    Tensor square = backend.allocate(DType.F32, 4, 4);
    assertThatThrownBy(() -> backend.matmul(square, false, square, false, 1, 0, square))
        .hasMessageContaining("overwrites what it reads");
  }

  @Test
  void kernel_beyondItsTensor_endsTheDevice() {
    Tensor small = backend.allocate(DType.F32, 16);
    assertThatThrownBy(
            () -> new Kernels(backend.queue()).overElements("add", 64, small, small, small, 0, 64L))
        .hasMessageContaining("the device is gone");
  }

  @Test
  void kernel_argumentsOfOtherTypes_areRefused() {
    Tensor tensor = backend.allocate(DType.F32, 16);
    Kernels kernels = new Kernels(backend.queue());
    assertThatThrownBy(() -> kernels.overElements("add", 16, tensor, tensor, tensor, 0L, 16L))
        .hasMessageContaining("argument 3 is l, not i");
    assertThatThrownBy(() -> kernels.overElements("add", 16, tensor))
        .hasMessageContaining("1 arguments instead of 5");
    assertThatThrownBy(() -> kernels.overElements("subtract", 16, tensor))
        .hasMessageContaining("no kernel subtract");
  }

  /** What a product converts into is the backend's own, and so are the frequencies of rotations. */
  @Test
  void close_afterWork_leavesNothingButTheCallersTensors() {
    Tensor w = backend.allocate(DType.BF16, 3, 5);
    FrozenMatrix frozen = backend.freeze(w);
    Tensor x = backend.allocate(DType.F32, 2, 5);
    Tensor y = backend.allocate(DType.F32, 2, 3);
    Tensor head = backend.allocate(DType.F32, 2, 4);
    Tensor positions = backend.allocate(DType.I32, 2);
    long ours = driver.liveBytes();
    backend.linear(x, frozen, null, y, false);
    backend.rope(head, positions, new double[] {1, 0.5}, false);
    assertThat(driver.liveBytes()).isGreaterThan(ours);
    int allocated = driver.allocations();
    backend.linear(x, frozen, null, y, false);
    backend.linearBackward(y, frozen, x, false);
    backend.rope(head, positions, new double[] {1, 0.5}, true);
    assertThat(driver.allocations()).as("nothing is allocated twice").isEqualTo(allocated);
    backend.closeInner();
    assertThat(driver.liveBytes()).isEqualTo(ours);
    assertThat(driver.staged()).isZero();
    List.of(w, x, y, head, positions).forEach(backend::free);
    assertThat(driver.liveBytes()).isZero();
  }

  /** It is in the order of the calls, and nobody has it before it is awaited. */
  @Test
  void fetch_tensorThatIsOverwritten_hasWhatWasThere() {
    Tensor first = backend.allocate(DType.F32, 3);
    Tensor second = backend.allocate(DType.BF16, 2);
    backend.write(first, 0, new float[] {1, 2, 3}, 0, 3);
    backend.write(second, 0, new float[] {4, 5}, 0, 2);
    float[] ofFirst = new float[2];
    float[] ofSecond = new float[2];
    Backend.Arriving arriving = backend.fetch(first, ofFirst);
    Backend.Arriving other = backend.fetch(second, ofSecond);
    backend.zero(first);
    backend.free(second);
    assertThat(ofFirst).containsOnly(0);
    arriving.await();
    other.await();
    assertThat(ofFirst).containsExactly(1, 2);
    assertThat(ofSecond).containsExactly(4, 5);
    backend.fetch(first, new float[0]).await();
    backend.free(first);
  }

  /** Losses and gradients of steps of all ranks: never more buffers than are under way. */
  @Test
  void fetch_manySizes_keepsAFewBuffers() {
    int most = 3 << 18;
    Tensor gradient = backend.allocate(DType.F32, most);
    Tensor losses = backend.allocate(DType.F32, 8);
    for (int size : new int[] {9 << 15, 3 << 17, 15 << 15, 5 << 17, most, 1 << 19, 5}) {
      List<Backend.Arriving> two = new ArrayList<>();
      for (int i = 0; i < 2; i++) {
        two.add(backend.fetch(gradient, new float[size]));
        two.add(backend.fetch(losses, new float[8]));
      }
      two.forEach(Backend.Arriving::await);
    }
    assertThat(driver.staged()).as("two gradients, and four short ones at last").isEqualTo(6);
    assertThat(driver.stagedBytes()).isEqualTo(2 * 4L * most + 4 * (1L << 20));
    backend.fetch(gradient, new float[most]);
    backend.closeInner();
    assertThat(driver.staged()).as("though nobody awaited the last").isZero();
    backend.free(gradient);
    backend.free(losses);
  }

  @Test
  void arena_secondStepOfTheSameShape_allocatesNothing() {
    try (Arena arena = new Arena(backend)) {
      arena.lay(layout -> List.of(layout.active(3, 5), layout.take(DType.I32, 4)));
      int allocated = driver.allocations();
      arena.lay(layout -> List.of(layout.active(3, 5), layout.take(DType.I32, 4)));
      assertThat(driver.allocations()).isEqualTo(allocated);
    }
    assertThat(driver.liveBytes()).isZero();
  }
}
