package dev.kindling.tensor.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import java.nio.IntBuffer;
import org.junit.jupiter.api.Test;

/** Half-width rows on any CPU, whether it multiplies them or not. */
class RowsTest {
  /** Rounded at each add, a sum stands still once a term is below half of its last bit. */
  @Test
  void scatterAdd_manyRowsOnOneHalfWidthEntry_roundsTheirSumOnce() {
    int count = 1000;
    Tensor dx = CpuMemory.allocate(DType.BF16, 2, 3);
    Tensor dy = CpuMemory.allocate(DType.BF16, count, 3);
    for (int i = 0; i < 3 * count; i++) {
      Elements.of(dy).put(i, 1);
    }
    Rows.scatterAdd(IntBuffer.allocate(count), Elements.of(dy), Elements.of(dx), count, 3);
    for (int c = 0; c < 3; c++) {
      assertThat(Elements.of(dx).get(c)).isCloseTo(count, offset(2f)); // bf16's step here is 4
      assertThat(Elements.of(dx).get(3 + c)).isZero();
    }
    CpuMemory.free(dx);
    CpuMemory.free(dy);
  }
}
