package dev.kindling.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.TargetModules;
import dev.kindling.optim.Links;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.OptimizerSettings.Kind;
import dev.kindling.optim.Schedule;
import dev.kindling.train.Merges.Restart;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What happens to trainables and to the optimiser's state where pairs begin anew. */
class MergesTest {
  /** A [2, 40] and B [30, 2] of a layer, then a head of 3. */
  private static final AdapterLayout LAYOUT =
      AdapterLayout.of(
          List.of(
              new LinearModule("layer", 40, 30, false, true),
              new LinearModule("classifier", 3, 1, false, false)),
          new AdapterSettings(2, 6, 0, new TargetModules.Blocks(), List.of("classifier")));

  private static final int PAIRS = 2 * (40 + 30);

  private static float[] ramp(int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      x[i] = (i % 2 == 0 ? 1 : -1) * (1 + i);
    }
    return x;
  }

  private static Update update(Restart restart, double share) {
    Schedule constant = new Schedule(Schedule.Curve.CONSTANT, 0, 8);
    return new Update(
        new OptimizerSettings(Kind.ADAMW, 0.1, 0, 0.9, 0.999, 1e-8, constant),
        0,
        LAYOUT,
        Learners.ALL,
        new Merges(new Links(8, 2, 1), restart, share, 5),
        new Ranks(Ranks.Use.FIXED, 2, 0));
  }

  /** s·B·A [30, 40] of a vector of the layout. */
  private static double[] product(float[] x, double scale) {
    double[] w = new double[30 * 40];
    for (int i = 0; i < 30; i++) {
      for (int j = 0; j < 40; j++) {
        for (int k = 0; k < 2; k++) {
          w[i * 40 + j] += scale * x[80 + i * 2 + k] * x[k * 40 + j];
        }
      }
    }
    return w;
  }

  @Test
  void link_atACut_movesWhatPairsHoldIntoTheBase() {
    Update update = update(Restart.RESET, 1);
    float[] x = ramp(LAYOUT.elements());
    float[] before = x.clone();
    assertThat(update.link(x, 3)).isEmpty();
    assertThat(x).isEqualTo(before);
    float[] merged = update.link(x, 4).orElseThrow().factors();
    assertThat(product(merged, 3)).isEqualTo(product(before, 3));
    assertThat(product(x, 3)).containsOnly(0);
    assertThat(Arrays.copyOf(x, 80)).isNotEqualTo(Arrays.copyOf(before, 80));
    for (float a : Arrays.copyOf(x, 80)) {
      assertThat(Math.abs(a)).isLessThan((float) (1 / Math.sqrt(40)));
    }
    assertThat(Arrays.copyOfRange(x, PAIRS, x.length))
        .isEqualTo(Arrays.copyOfRange(before, PAIRS, x.length));
  }

  /** The head's moments stay, and of the pairs' what the restart leaves. */
  @ParameterizedTest
  @EnumSource(Restart.class)
  void link_anyRestart_forgetsItsShareOfPairs(Restart restart) {
    Update update = update(restart, 0.9);
    update.state().values().forEach(s -> System.arraycopy(ramp(s.length), 0, s, 0, s.length));
    update.link(new float[LAYOUT.elements()], 4);
    update
        .state()
        .forEach(
            (name, state) -> {
              assertThat(Arrays.copyOfRange(state, PAIRS, state.length))
                  .isEqualTo(Arrays.copyOfRange(ramp(state.length), PAIRS, state.length));
              int kept = 0;
              for (int i = 0; i < PAIRS; i++) {
                kept += state[i] == 0 ? 0 : 1;
              }
              switch (restart) {
                case RESET -> assertThat(kept).isZero();
                case RANDOM -> assertThat(kept).as(name).isBetween(5, 25);
                case MAGNITUDE -> {
                  assertThat(kept).isEqualTo(14);
                  assertThat(Arrays.copyOfRange(state, 72, 80)).doesNotContain(0);
                  assertThat(Arrays.copyOfRange(state, 80, 134)).containsOnly(0);
                }
              }
            });
  }

  /** Each link has a draw of its own, and of an embedding it is B that is drawn. */
  @Test
  void draw_eachLink_isAnother() {
    AdapterLayout layout =
        AdapterLayout.of(
            List.of(LinearModule.embedding("table", 7, 4)),
            new AdapterSettings(2, 6, 0, new TargetModules.Names(List.of("table")), List.of()));
    Merges merges = new Merges(new Links(9, 3, 1), Restart.RESET, 1, 5);
    float[] first = ramp(layout.elements());
    float[] second = ramp(layout.elements());
    merges.draw(layout, first, 3);
    merges.draw(layout, second, 6);
    assertThat(Arrays.copyOf(first, 14)).containsOnly(0);
    assertThat(Arrays.copyOfRange(first, 14, 22)).doesNotContain(0);
    assertThat(first).isNotEqualTo(second);
    float[] again = ramp(layout.elements());
    merges.draw(layout, again, 3);
    assertThat(again).isEqualTo(first);
  }

  /** No moment is kept without the other: an update would be divided by next to nothing. */
  @ParameterizedTest
  @EnumSource(Restart.class)
  void link_anyRestart_forgetsBothMomentsOfAnElement(Restart restart) {
    Update update = update(restart, 0.5);
    float[] first = update.state().get("first");
    float[] second = update.state().get("second");
    for (int i = 0; i < first.length; i++) {
      first[i] = i + 1;
      second[i] = first.length - i; // the smallest of the one are the largest of the other
    }
    update.link(new float[LAYOUT.elements()], 4);
    for (int i = 0; i < first.length; i++) {
      assertThat(first[i] == 0).isEqualTo(second[i] == 0);
    }
  }

  /**
   * A fresh optimiser's first step is the learning rate long, whatever the gradient; a head's not.
   */
  @Test
  void apply_afterAReset_correctsTheBiasOfAFreshOptimiser() {
    Update update = update(Restart.RESET, 1);
    float[] x = new float[LAYOUT.elements()];
    for (int step = 0; step < 4; step++) {
      float[] gradient = new float[x.length];
      Arrays.fill(gradient, step == 3 ? 0 : 1);
      update.apply(x, gradient, step);
    }
    update.link(x, 4);
    float[] before = x.clone();
    float[] gradient = new float[x.length];
    Arrays.fill(gradient, 7);
    update.apply(x, gradient, 4);
    assertThat((double) before[0] - x[0]).isCloseTo(0.1, offset(1e-6));
    double m = 0;
    double v = 0;
    double[] all = {1, 1, 1, 0, 7};
    for (double g : all) {
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
    }
    double size = m / (1 - Math.pow(0.9, 5)) / Math.sqrt(v / (1 - Math.pow(0.999, 5)));
    assertThat((double) before[PAIRS] - x[PAIRS]).isCloseTo(0.1 * size, offset(1e-6));
  }
}
