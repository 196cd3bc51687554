package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.data.TokenBatch;
import dev.kindling.lora.Parameter;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.onednn.InstructionSet;
import dev.kindling.tensor.onednn.OneDnnBackend;
import dev.kindling.train.TrainingState;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Activations and operands in bf16: losses stay within 2e-2 of PyTorch's in float64. */
class Bf16GoldenTest {
  private final Backend backend = open();

  /** The backend under test. */
  Backend open() {
    assumeTrue(InstructionSet.multipliesBf16());
    return new OneDnnBackend(Precision.BF16, 1);
  }

  @AfterEach
  void close() {
    backend.close();
  }

  @ParameterizedTest
  @MethodSource("dev.kindling.model.GoldenTest#cases")
  void firstBatch_lossAndDirectionOfTheGradient_followPyTorch(String name) {
    Golden golden = new Golden(name);
    try (Model model = golden.model(backend)) {
      float[] gradient = new float[golden.layout.elements()];
      BatchResult result =
          model.gradient(TokenBatch.of(golden.batch(0), golden.plan.rules()), gradient);
      assertThat(result.loss() / result.targets())
          .isCloseTo(golden.settings.at("/expected/batch0.loss").asDouble(), offset(2e-2));
      double product = 0;
      double ours = 0;
      double theirs = 0;
      for (Parameter p : golden.layout.parameters()) {
        float[] wanted = p.fromStored(golden.expected.get("batch0.grad." + p.peftName()).floats());
        for (int i = 0; i < wanted.length; i++) {
          double g = gradient[p.offset() + i] / (double) result.targets();
          product += g * wanted[i];
          ours += g * g;
          theirs += wanted[i] * wanted[i];
        }
      }
      assertThat(product / Math.sqrt(ours * theirs)).as("cosine").isGreaterThan(0.999);
      assertThat(Math.sqrt(ours / theirs)).as("length").isCloseTo(1, offset(0.02));
    }
  }

  @ParameterizedTest
  @MethodSource("dev.kindling.model.GoldenTest#cases")
  void training_lossOfEveryStep_followsPyTorch(String name) {
    Golden golden = new Golden(name);
    try (Model model = golden.model(backend)) {
      TrainingState state = golden.state();
      for (int step = 0; step < golden.steps(); step++) {
        assertThat(GoldenTest.step(golden, model, state, step, 4))
            .isCloseTo(
                golden.settings.at("/expected/train.losses").get(step).asDouble(), offset(2e-2));
      }
    }
  }
}
