package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Where a product adds the bias itself; what it gives then is every backend's contract. */
class FusedBiasTest {
  /** With x and w all 1, y = in + bias. */
  private static List<String> kernels(Shimmed backend, DType type, int n, int out, int from) {
    Tensor x = ones(backend, backend.active(), n, 2);
    Tensor w = ones(backend, backend.active(), out, 2);
    Tensor all = ones(backend, DType.F32, from + out, 1);
    Tensor bias = all.slice(from, out);
    Tensor y = backend.allocate(type, n, out);
    int before = backend.driver().launches().size();
    backend.linear(x, backend.freeze(w), bias, y, false);
    backend.linear(x, backend.freeze(w), bias, y, true);
    List<Launch> launches = backend.driver().launches();
    List<String> after =
        launches.subList(before, launches.size()).stream().map(Launch::kernel).toList();
    float[] values = new float[n * out];
    backend.read(y, values);
    assertThat(values).containsOnly(6);
    return after;
  }

  private static Tensor ones(Shimmed backend, DType type, int rows, int columns) {
    float[] values = new float[rows * columns];
    Arrays.fill(values, 1);
    Tensor tensor = backend.allocate(type, rows, columns);
    backend.write(tensor, 0, values, 0, values.length);
    return tensor;
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
      assertThat(kernels(backend, type, 3, 5, from)).isEqualTo(expected);
    }
  }

  /** Copies of results have more columns than the bias. */
  @Test
  void linear_biasWhereTheProductGoesToACopy_isAddedAfterIt() {
    try (Shimmed backend = Shimmed.open(Precision.FP32, CudaBackend.MOST_SCORES)) {
      assertThat(kernels(backend, DType.F32, 513, 513, 0))
          .filteredOn("add_bias"::equals)
          .hasSize(2);
    }
  }
}
