package dev.kindling.dl4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.data.TokenBatch;
import dev.kindling.model.Golden;
import dev.kindling.model.Model;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.onednn.OneDnnBackend;
import dev.kindling.train.GradientSum;
import dev.kindling.train.Learners;
import dev.kindling.train.LocalStep;
import dev.kindling.train.LocalSteps;
import dev.kindling.train.TrainingState;
import dev.kindling.train.Update;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Deeplearning4j drives, the engine computes. */
class AdapterNetworkTest {
  @ParameterizedTest
  @ValueSource(strings = {"bert", "llama-gqa", "gpt2", "llama-table-saved-head"})
  void fit_stepByStep_followsPyTorch(String name) {
    Golden golden = new Golden(name);
    int elements = golden.layout.elements();
    Update update =
        new Update(golden.optimizer(), golden.maxGradNorm(), golden.layout, Learners.ALL);
    LocalSteps steps = new LocalSteps(update, elements);
    float[] start = golden.adapter.values(golden.layout);
    MultiLayerNetwork network = AdapterNetwork.of(start, update.flatState());
    assertThat(network.numParams()).isEqualTo(elements);
    try (Backend backend = new OneDnnBackend(Precision.FP32, 1);
        Model model = golden.model(backend)) {
      for (int step = 0; step < golden.steps(); step++) {
        fit(network, steps, golden, model, step);
        double loss = golden.settings.at("/expected/train.losses").get(step).asDouble();
        assertThat(network.score()).isCloseTo(loss, offset(1e-4));
        assertThat(steps.taken().get(step).totals().meanLoss()).isCloseTo(loss, offset(1e-4));
      }
      assertThat(steps.taken()).hasSize(golden.steps());
    }
  }

  @Test
  void fit_anyOptimizer_movesItsStateWithTheNetworks() {
    Golden golden = new Golden("bert");
    int elements = golden.layout.elements();
    float[] start = golden.adapter.values(golden.layout);
    Update update =
        new Update(golden.optimizer(), golden.maxGradNorm(), golden.layout, Learners.ALL);
    LocalSteps steps = new LocalSteps(update, elements);
    MultiLayerNetwork network = AdapterNetwork.of(start, update.flatState());
    TrainingState plain =
        new TrainingState(golden.layout, start.clone(), golden.optimizer(), golden.maxGradNorm());
    try (Backend backend = new OneDnnBackend(Precision.FP32, 1);
        Model model = golden.model(backend)) {
      for (int step = 0; step < 3; step++) {
        commit(golden, model, fit(network, steps, golden, model, step), plain);
      }
    }
    assertThat(AdapterNetwork.trainables(network))
        .usingComparatorWithPrecision(1e-6f)
        .containsExactly(plain.trainables());
    assertThat(AdapterNetwork.state(network))
        .usingComparatorWithPrecision(1e-6f)
        .containsExactly(plain.optimizerState());
    assertThat(AdapterNetwork.state(network)).hasSize(2 * elements);
    List<Double> rates = new ArrayList<>();
    steps.taken().forEach((LocalStep step) -> rates.add(step.learningRate()));
    assertThat(rates).doesNotContain(0.0);
  }

  /** One step of the network; returns its batch. */
  private static TokenBatch fit(
      MultiLayerNetwork network, LocalSteps steps, Golden golden, Model model, int step) {
    TokenBatch batch = TokenBatch.of(golden.batch(step), golden.plan.rules());
    AdapterNetwork.bind(
        network,
        (trainables, gradient) ->
            steps.gradient(model, steps.prefix(0), List.of(batch), trainables, gradient),
        steps::update,
        step);
    network.fit(AdapterNetwork.placeholder());
    return batch;
  }

  private static void commit(Golden golden, Model model, TokenBatch batch, TrainingState state) {
    float[] gradient = new float[golden.layout.elements()];
    model.load(state.trainables());
    var result = model.gradient(batch, gradient);
    GradientSum sum = new GradientSum(golden.layout, state.exponents(), 1);
    sum.add(gradient, result);
    while (!sum.fits()) {
      state.rescale(sum);
      sum = new GradientSum(golden.layout, state.exponents(), 1);
      sum.add(gradient, result);
    }
    state.commit(sum);
  }

  @Test
  void fit_unbound_saysWhoBinds() {
    MultiLayerNetwork network = AdapterNetwork.of(new float[] {1, 2}, new float[0]);
    assertThatThrownBy(() -> network.fit(AdapterNetwork.placeholder()))
        .hasMessageContaining("no share is bound");
  }

  @Test
  void free_trained_leavesNoArray() {
    MultiLayerNetwork network = AdapterNetwork.of(new float[] {1, 2}, new float[] {3, 4});
    var arrays =
        List.of(
            network.params(),
            network.getFlattenedGradients(),
            network.getUpdater().getStateViewArray());
    AdapterNetwork.free(network);
    assertThat(arrays).allMatch(array -> array.wasClosed());
  }
}
