package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What GPUs are held to is what a CPU computes. */
class CurveTest {
  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "gpt2", "bert"})
  void fiftySteps_onACpuInFp32_areTheCurve(String name) {
    try (Backend backend = new OneDnnBackend(Precision.FP32, 1)) {
      List<Double> found = Curve.losses(backend, name);
      List<Double> written = Curve.written(name);
      assertThat(found).as("%s: %s", name, found).hasSameSizeAs(written);
      assertThat(found.get(found.size() - 1)).isLessThan(0.9 * found.get(0));
      for (int step = 0; step < written.size(); step++) {
        assertThat(found.get(step)).isCloseTo(written.get(step), offset(1e-3));
      }
    }
  }
}
