package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.cuda.OnDevice;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Fifty steps on a GPU beside those of a CPU in fp32. */
class DeviceCurveTest {
  @ParameterizedTest
  @CsvSource({
    "llama-gqa,FP32,1e-3",
    "gpt2,FP32,1e-3",
    "bert,FP32,1e-3",
    "llama-gqa,TF32,1e-2",
    "gpt2,TF32,1e-2",
    "bert,TF32,1e-2",
    "llama-gqa,BF16,2e-2",
    "gpt2,BF16,2e-2",
    "bert,BF16,2e-2"
  })
  void fiftySteps_stayAtTheCurveOfTheCpu(String name, Precision precision, double bound) {
    try (Backend backend = OnDevice.open(precision)) {
      List<Double> found = Curve.losses(backend, name);
      List<Double> written = Curve.written(name);
      for (int step = 0; step < written.size(); step++) {
        assertThat(found.get(step))
            .as("%s, step %d", name, step)
            .isCloseTo(written.get(step), offset(bound * Math.max(1, written.get(step))));
      }
    }
  }
}
