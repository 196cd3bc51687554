package dev.kindling.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.Ranks.Use;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What a prefix of an adapter's pairs is, and which one a step uses. */
class PrefixTest {
  /** A [7, 3] and B [4, 3] of a table, A [3, 5] and B [2, 3] of a layer, a head of 4. */
  private static final AdapterLayout LAYOUT =
      AdapterLayout.of(
          List.of(
              LinearModule.embedding("table", 7, 4),
              new LinearModule("layer", 5, 2, false, true),
              new LinearModule("classifier", 2, 2, false, false)),
          new AdapterSettings(
              3, 6, 0, new TargetModules.Names(List.of("table", "layer")), List.of("classifier")));

  private static float[] ramp(int n) {
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      x[i] = i + 1;
    }
    return x;
  }

  @Test
  void take_anyRank_isRowsOfAAndColumnsOfTheOthers() {
    float[] all = ramp(LAYOUT.elements());
    Prefix two = Prefix.of(LAYOUT, 2);
    float[] some = two.take(all);
    assertThat(two.narrow().settings().scale()).isEqualTo(3);
    for (Parameter small : two.narrow().parameters()) {
      Parameter large = LAYOUT.find(small.module(), small.role()).orElseThrow();
      for (int i = 0; i < small.elements(); i++) {
        boolean columns = small.role() != Role.A && !small.role().whole();
        int at = columns ? i / 2 * 3 + i % 2 : i;
        assertThat(some[small.offset() + i]).as(small.name()).isEqualTo(all[large.offset() + at]);
      }
    }
    float[] back = new float[all.length];
    two.put(some, back);
    int kept = 0;
    for (int i = 0; i < all.length; i++) {
      assertThat(back[i]).isIn(0f, all[i]);
      kept += back[i] == 0 ? 0 : 1;
    }
    assertThat(kept).isEqualTo(some.length);
    assertThat(Prefix.of(LAYOUT, 3).take(all)).isSameAs(all);
  }

  /**
   * Uniform on 1 … 8: Pearson's χ² of 8,000 draws, 7 degrees of freedom, 24.3 at one in a thousand.
   */
  @Test
  void active_manySteps_isUniformAndAFunctionOfSeedAndStep() {
    Ranks ranks = new Ranks(Use.PREFIX, 8, 5);
    int[] counts = new int[9];
    for (int step = 0; step < 8000; step++) {
      counts[ranks.active(step)]++;
    }
    double chi = 0;
    for (int b = 1; b <= 8; b++) {
      chi += Math.pow(counts[b] - 1000, 2) / 1000;
    }
    assertThat(chi).isLessThan(24.3);
    assertThat(counts[0]).isZero();
    assertThat(new Ranks(Use.LAST, 8, 5).active(77)).isEqualTo(ranks.active(77));
    assertThat(new Ranks(Use.LAST, 8, 5).learnsFrom(77)).isEqualTo(ranks.active(77) - 1);
    assertThat(ranks.learnsFrom(77)).isZero();
    assertThat(new Ranks(Use.PREFIX, 1, 9).active(3)).isEqualTo(1);
    assertThat(new Ranks(Use.FIXED, 8, 5).active(3)).isEqualTo(8);
    assertThat((double) counts[1]).isCloseTo(1000, offset(150.0));
  }
}
