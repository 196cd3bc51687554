package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cuda.Product.Operand;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Products by way of copies are the products themselves. */
class StraightenedTest {
  private final Random random = new Random(4);
  private final Shimmed backend = Shimmed.open(Precision.BF16, CudaBackend.MOST_SCORES);

  @AfterEach
  void close() {
    backend.close();
  }

  private Tensor filled(DType type, int rows, int columns) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    Tensor tensor = backend.allocate(type, rows, columns);
    backend.write(tensor, 0, values, 0, values.length);
    return tensor;
  }

  private float[] values(Tensor tensor) {
    float[] values = new float[(int) tensor.elements()];
    backend.read(tensor, values);
    return values;
  }

  private static Operand operand(Tensor t, boolean turned) {
    return new Operand(DeviceMemory.of(t), t.type(), t.rows(), t.columns(), t.columns(), 0, turned);
  }

  @ParameterizedTest
  @CsvSource({"5,9,13,BF16,0", "5,9,13,BF16,1", "7,8,11,F32,1", "3,17,16,BF16,0.5", "8,8,8,F32,0"})
  void multiply_rowsThatBeginAnywhere_hasTheBitsOfTheProductItself(
      int rows, int inner, int columns, DType type, double beta) {
    StrictDriver driver = backend.driver();
    WorkQueue queue = backend.queue();
    Straightened straightened = new Straightened(queue, new Kernels(queue), 1);
    for (int turned = 0; turned < 4; turned++) {
      boolean ta = turned % 2 == 1;
      boolean tb = turned / 2 == 1;
      Tensor a = ta ? filled(DType.BF16, inner, rows) : filled(DType.BF16, rows, inner);
      Tensor b = tb ? filled(DType.BF16, columns, inner) : filled(DType.BF16, inner, columns);
      Tensor c = filled(type, rows, columns);
      Tensor same = backend.allocate(type, rows, columns);
      backend.convert(c, same);
      queue.run(new Product(operand(a, ta), operand(b, tb), operand(same, false), 2, beta, 1));
      straightened.multiply(
          new Product(operand(a, ta), operand(b, tb), operand(c, false), 2, beta, 1));
      assertThat(values(c)).containsExactly(values(same));
    }
    long live = driver.liveBytes();
    straightened.close();
    if (inner % 8 != 0 || columns % 8 != 0) {
      assertThat(driver.liveBytes()).isLessThan(live);
    }
  }
}
