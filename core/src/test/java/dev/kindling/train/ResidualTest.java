package dev.kindling.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.BaseChange;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.BatchResult;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What averages of pairs leave out. */
class ResidualTest {
  private static final int R = 2;

  /** None of them square: a residual that is turned would not fit. */
  private static final AdapterLayout LAYOUT =
      AdapterLayout.of(
          List.of(
              LinearModule.embedding("table", 7, 4),
              new LinearModule("layer", 5, 3, true, true),
              new LinearModule("classifier", 3, 2, true, false)),
          new AdapterSettings(
              R, 6, 0, new TargetModules.Names(List.of("table", "layer")), List.of("classifier")));

  private final Random random = new Random(71);

  private WorkerResult worker(int targets) {
    float[] values = new float[LAYOUT.elements()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    Totals totals = new Totals();
    totals.add(new BatchResult(targets, targets, targets, 0, targets, 1));
    return new WorkerResult(List.of(new LocalStep(totals, 1, 1)), values, new float[0]);
  }

  @ParameterizedTest
  @CsvSource({"3,1,0,0", "4,4,0,0", "5,0,3,0", "2,9,4,1"})
  void of_anyWorkers_makesUpForAveraging(int first, int second, int third, int fourth) {
    List<WorkerResult> workers = new ArrayList<>(List.of(worker(first), worker(second)));
    if (third > 0) {
      workers.add(worker(third));
    }
    if (fourth > 0) {
      workers.add(worker(fourth));
    }
    float[] mean = Average.of(workers).trainables();
    BaseChange change = Residual.of(LAYOUT, workers, mean);
    assertThat(change.rank()).isEqualTo(R * (workers.size() - 1));
    double all = first + second + third + fourth;
    AdapterLayout pairs = LAYOUT.pairs(change.rank());
    for (boolean table : new boolean[] {true, false}) {
      double[] expected = product(LAYOUT, mean, table, -1);
      for (WorkerResult worker : workers) {
        double[] one = product(LAYOUT, worker.trainables(), table, worker.targets() / all);
        for (int i = 0; i < one.length; i++) {
          expected[i] += one[i];
        }
      }
      double[] found = product(pairs, change.factors(), table, 1);
      for (int i = 0; i < found.length; i++) {
        assertThat(found[i]).isCloseTo(expected[i], offset(3e-6));
      }
    }
  }

  /** weight·B·A of the layer [3, 5], or weight·A·Bᵀ of the table [7, 4]. */
  private static double[] product(
      AdapterLayout layout, float[] values, boolean table, double weight) {
    String module = table ? "table" : "layer";
    Parameter a = layout.find(module, table ? Role.EMBEDDING_A : Role.A).orElseThrow();
    Parameter b = layout.find(module, table ? Role.EMBEDDING_B : Role.B).orElseThrow();
    int r = layout.settings().r();
    int rows = table ? 7 : 3;
    int columns = table ? 4 : 5;
    double[] all = new double[rows * columns];
    for (int i = 0; i < all.length; i++) {
      int row = i / columns;
      int column = i % columns;
      for (int k = 0; k < r; k++) {
        double left = values[(table ? a : b).offset() + row * r + k];
        double right =
            values[table ? b.offset() + column * r + k : a.offset() + k * columns + column];
        all[i] += weight * left * right;
      }
    }
    return all;
  }
}
