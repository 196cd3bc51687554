package dev.kindling.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Halves;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.Ranks;
import dev.kindling.lora.TargetModules;
import dev.kindling.optim.Group;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.OptimizerSettings.Kind;
import dev.kindling.optim.Schedule;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Who learns, and at which rate. */
class LearnersTest {
  /** Of rank 2: A [7, 2] and B [4, 2] of the table, A [2, 5] and B [3, 2] of the layer, 6 + 2. */
  private static final AdapterLayout LAYOUT =
      AdapterLayout.of(
          List.of(
              LinearModule.embedding("table", 7, 4),
              new LinearModule("layer", 5, 3, true, true),
              new LinearModule("classifier", 3, 2, true, false)),
          new AdapterSettings(
              2, 6, 0, new TargetModules.Names(List.of("table", "layer")), List.of("classifier")));

  @Test
  void groups_allAlike_areOne() {
    assertThat(Learners.ALL.groups(LAYOUT, 4, new long[] {4, 4}))
        .containsExactly(new Group(0, 46, 1, 4L));
  }

  /** An optimiser that begins anew for pairs goes on for a head. */
  @Test
  void groups_ofPairsKnownSince_areApartFromWholeLayers() {
    assertThat(Learners.ALL.groups(LAYOUT, 4, new long[] {2, 2}))
        .containsExactly(new Group(0, 38, 1, 2L), new Group(38, 46, 1, 4L));
  }

  /** Of the embedding the half that begins at zero is A. */
  @Test
  void groups_ofHalves_areThoseThatBeginAtZeroOrNot() {
    assertThat(new Learners(Halves.B, 16).groups(LAYOUT, 4, new long[] {4, 4}))
        .containsExactly(
            new Group(0, 14, 16, 4L), new Group(32, 38, 16, 4L), new Group(38, 46, 1, 4L));
    assertThat(new Learners(Halves.A, 16).groups(LAYOUT, 4, new long[] {4, 4}))
        .containsExactly(new Group(14, 32, 1, 4L), new Group(38, 46, 1, 4L));
    assertThat(new Learners(Halves.BOTH, 3).groups(LAYOUT, 4, new long[] {4, 4}))
        .containsExactly(
            new Group(0, 14, 3, 4L),
            new Group(14, 32, 1, 4L),
            new Group(32, 38, 3, 4L),
            new Group(38, 46, 1, 4L));
  }

  /** A mask may tell layers and steps apart. */
  @Test
  void groups_ofAMask_areThoseThatItNames() {
    Learners learners =
        new Learners((p, step) -> p.module().equals(step < 4 ? "table" : "layer"), 16);
    assertThat(learners.groups(LAYOUT, 3, new long[] {3, 3}))
        .containsExactly(new Group(0, 14, 16, 3L), new Group(14, 22, 1, 3L));
    assertThat(learners.groups(LAYOUT, 4, new long[] {4, 4}))
        .containsExactly(new Group(22, 32, 1, 4L), new Group(32, 38, 16, 4L));
  }

  /** Of rank 2 only the second learns: a row of A, a column of all others. */
  @Test
  void groups_ofOneRank_areRowsAndColumns() {
    assertThat(Learners.ALL.groups(LAYOUT, 4, new long[] {-1, 2}))
        .containsExactly(
            new Group(1, 14, 2, 1, 1, 2L),
            new Group(15, 22, 2, 1, 1, 2L),
            new Group(27, 32, 1, 2L),
            new Group(33, 38, 2, 1, 1, 2L),
            new Group(38, 46, 1, 4L));
  }

  /** Each rank's moments know their own steps; what a step does not use stays, under decay too. */
  @ParameterizedTest
  @EnumSource(Ranks.Use.class)
  void apply_anyRanks_movesWhatLearns(Ranks.Use use) {
    AdapterLayout layout =
        AdapterLayout.of(
            List.of(new LinearModule("layer", 5, 3, false, true)),
            new AdapterSettings(4, 4, 0, new TargetModules.Blocks(), List.of()));
    OptimizerSettings settings =
        new OptimizerSettings(
            Kind.ADAMW, 0.5, 0.1, 0.9, 0.999, 1e-8, new Schedule(Schedule.Curve.CONSTANT, 0, 9));
    Ranks ranks = new Ranks(use, 4, 3);
    Update update = new Update(settings, 0, layout, Learners.ALL, Merges.NONE, ranks);
    float[] x = new float[layout.elements()];
    Arrays.fill(x, 8);
    int[] moved = new int[4];
    for (int step = 0; step < 12; step++) {
      float[] before = x.clone();
      float[] gradient = new float[x.length];
      Arrays.fill(gradient, 3);
      update.apply(x, gradient, step);
      for (int k = 0; k < 4; k++) {
        boolean learns = k >= ranks.learnsFrom(step) && k < ranks.active(step);
        for (int c = 0; c < 5; c++) {
          assertThat(x[k * 5 + c] != before[k * 5 + c]).isEqualTo(learns);
        }
        for (int o = 0; o < 3; o++) {
          assertThat(x[20 + o * 4 + k] != before[20 + o * 4 + k]).isEqualTo(learns);
        }
        moved[k] += learns ? 1 : 0;
      }
    }
    // Of a constant gradient each step is the rate long, and decays by 0.05: by closed form.
    for (int k = 0; k < 4; k++) {
      double decay = Math.pow(0.95, moved[k]);
      assertThat((double) x[k * 5]).isCloseTo(8 * decay - 0.5 * (1 - decay) / 0.05, offset(1e-4));
    }
  }

  /** Neither gradient nor decay moves what does not learn, and no norm contains it. */
  @Test
  void apply_someGroups_leavesTheOthersAlone() {
    OptimizerSettings settings =
        new OptimizerSettings(
            Kind.SGD, 0.5, 0.1, 0, 0, 1, new Schedule(Schedule.Curve.CONSTANT, 0, 9));
    AdapterLayout one =
        AdapterLayout.of(
            List.of(new LinearModule("layer", 1, 1, false, true)),
            new AdapterSettings(1, 1, 0, new TargetModules.Blocks(), List.of()));
    float[] x = {8, 8};
    Update half = new Update(settings, 0, one, new Learners(Halves.B, 2));
    assertThat(half.apply(x, new float[] {100, 4}, 0).gradNorm()).isEqualTo(4);
    // At twice the rate 8 − 1·(4 + 0.1·8).
    assertThat(x).usingComparatorWithPrecision(1e-6f).containsExactly(8f, 3.2f);
    assertThatThrownBy(() -> new Group(2, 1, 1, 4L)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Group(1, 2, 0, 4L)).isInstanceOf(IllegalArgumentException.class);
  }
}
