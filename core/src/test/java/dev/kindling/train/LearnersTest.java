package dev.kindling.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.TargetModules;
import dev.kindling.optim.Group;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.OptimizerSettings.Kind;
import dev.kindling.optim.Schedule;
import dev.kindling.train.Learners.Halves;
import java.util.List;
import org.junit.jupiter.api.Test;

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
    assertThat(Learners.ALL.groups(LAYOUT, 0)).containsExactly(new Group(0, 46, 1));
  }

  /** An optimiser that begins anew for pairs goes on for a head. */
  @Test
  void groups_ofPairsKnownSince_areApartFromWholeLayers() {
    assertThat(Learners.ALL.groups(LAYOUT, 5))
        .containsExactly(new Group(0, 38, 1, 5), new Group(38, 46, 1));
  }

  /** Of the embedding the half that begins at zero is A. */
  @Test
  void groups_ofHalves_areThoseThatBeginAtZeroOrNot() {
    assertThat(new Learners(Halves.B, 16).groups(LAYOUT, 0))
        .containsExactly(new Group(0, 14, 16), new Group(32, 38, 16), new Group(38, 46, 1));
    assertThat(new Learners(Halves.A, 16).groups(LAYOUT, 0))
        .containsExactly(new Group(14, 32, 1), new Group(38, 46, 1));
    assertThat(new Learners(Halves.BOTH, 3).groups(LAYOUT, 0))
        .containsExactly(
            new Group(0, 14, 3), new Group(14, 32, 1), new Group(32, 38, 3), new Group(38, 46, 1));
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
    Update half = new Update(settings, 0, one, new Learners(Halves.B, 2), Merges.NONE);
    assertThat(half.apply(x, new float[] {100, 4}, 0).gradNorm()).isEqualTo(4);
    // At twice the rate 8 − 1·(4 + 0.1·8).
    assertThat(x).usingComparatorWithPrecision(1e-6f).containsExactly(8f, 3.2f);
    assertThatThrownBy(() -> new Group(2, 1, 1)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Group(1, 2, 0)).isInstanceOf(IllegalArgumentException.class);
  }
}
