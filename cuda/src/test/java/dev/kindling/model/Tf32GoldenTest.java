package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.data.TokenBatch;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.cuda.OnShim;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A step whose products round to TF32, computed on the CPU: near fp32's, and not the same. */
class Tf32GoldenTest {
  private static float[] gradient(Golden golden, Precision precision) {
    float[] gradient = new float[golden.layout.elements()];
    try (Backend backend = OnShim.open(precision);
        Model model = golden.model(backend)) {
      model.gradient(TokenBatch.of(golden.batch(0), golden.plan.rules()), gradient);
    }
    return gradient;
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "bert"})
  void gradient_inTf32_isOffByWhatItRounds(String name) {
    Golden golden = new Golden(name);
    float[] exact = gradient(golden, Precision.FP32);
    float[] rounded = gradient(golden, Precision.TF32);
    double off = 0;
    double size = 0;
    for (int i = 0; i < exact.length; i++) {
      off += Math.pow((double) rounded[i] - exact[i], 2);
      size += Math.pow(exact[i], 2);
    }
    assertThat(Math.sqrt(off / size)).isBetween(1e-5, 4e-3);
  }
}
