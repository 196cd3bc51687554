package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Where a product adds the bias itself; what it gives then is every backend's contract. */
class FusedBiasTest {
  private static final int EVEN = 8;

  /** Each number of x 1/2 and of w 3, the bias 0, 1, 2, …: y = 3 + bias, and twice that. */
  private static List<String> kernels(Shimmed backend, DType type, int n, int out, int from) {
    Tensor x = Filled.of(backend, backend.active(), n, 2 * EVEN, i -> 0.5f / EVEN);
    FrozenMatrix w = backend.freeze(Filled.of(backend, backend.active(), out, 2 * EVEN, i -> 3));
    Tensor bias = Filled.of(backend, DType.F32, from + out, 1, i -> i).slice(from, out);
    Tensor y = backend.allocate(type, n, out);
    int before = backend.driver().launches().size();
    backend.linear(x, w, bias, y, false);
    backend.linear(x, w, bias, y, true);
    List<Launch> launches = backend.driver().launches();
    List<String> after =
        launches.subList(before, launches.size()).stream().map(Launch::kernel).toList();
    float[] values = new float[n * out];
    backend.read(y, values);
    for (int i = 0; i < values.length; i++) {
      assertThat(values[i]).as("element %d", i).isEqualTo(2 * (3 + from + i % out));
    }
    return after;
  }

  @ParameterizedTest
  @CsvSource({
    "FP32,F32,0,", // as it is
    "FP32,F32,3,convert", // to where a vector may begin
    "BF16,F32,4,",
    "BF16,BF16,0,convert" // of the result's type
  })
  void linear_bias_isAddedByTheProduct(Precision precision, DType type, int from, String kernel) {
    try (Shimmed backend = Shimmed.open(precision, CudaBackend.MOST_SCORES)) {
      List<String> expected = kernel == null ? List.of() : List.of(kernel, kernel);
      assertThat(kernels(backend, type, 3, 8, from)).isEqualTo(expected);
    }
  }

  /** Of a few classes, of one row; and copies of results have more columns than the bias. */
  @ParameterizedTest
  @CsvSource({"3,5", "1,8", "513,513"})
  void linear_biasThatNoFastProductAdds_isAddedAfterIt(int rows, int out) {
    try (Shimmed backend = Shimmed.open(Precision.FP32, CudaBackend.MOST_SCORES)) {
      assertThat(kernels(backend, DType.F32, rows, out, 0))
          .filteredOn("add_bias"::equals)
          .hasSize(2);
    }
  }
}
