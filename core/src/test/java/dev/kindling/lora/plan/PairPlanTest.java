package dev.kindling.lora.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.lora.Halves;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Counts of operations against RunLoRA's formulas, and the choices that follow from them. */
class PairPlanTest {
  private static final PlanRules FREE = new PlanRules(false, false);
  private static final PlanChooser CHOOSER = new PlanChooser.FewestFlops();

  /** Multiplications of backward1 to backward8 as the paper's repository counts them. */
  private static long[] paper(long n, long i, long o, long r) {
    long nio = n * i * o;
    long nir = n * i * r;
    long nor = n * o * r;
    long ior = i * o * r;
    return new long[] {
      nio + 3 * nir + 2 * nor,
      2 * nio + 2 * nir + nor + ior,
      2 * nio + nir + nor + 2 * ior,
      2 * nio + 3 * ior,
      nio + 2 * nir + 2 * nor + ior,
      2 * nio + 2 * nir + 2 * nor + ior,
      2 * nio + nir + nor + 2 * ior,
      2 * nio + nir + nor + 2 * ior
    };
  }

  @ParameterizedTest
  @CsvSource({"8192,2048,5632,128", "1,1,1,1", "7,11,13,3", "2048,512,1376,8", "59000,768,768,256"})
  void flops_everyGraphOfThePaper_areItsFormulas(long n, long i, long o, long r) {
    PairShape shape = new PairShape(n, i, o, r);
    long[] paper = paper(n, i, o, r);
    for (BackwardPlan plan : BackwardPlan.all()) {
      long found = plan.products(shape, false, true).stream().mapToLong(Product::flops).sum() / 2;
      assertThat(found).as("backward%d", plan.number()).isEqualTo(paper[plan.number() - 1]);
    }
    long[] forward = {n * i * o + n * r * (i + o), n * i * o + i * o * r};
    for (ForwardPlan plan : ForwardPlan.values()) {
      long found = plan.products(shape).stream().mapToLong(Product::flops).sum() / 2;
      assertThat(found).as(plan.name()).isEqualTo(forward[plan.merges() ? 1 : 0]);
    }
  }

  @Test
  void id_everyPlan_isItsOwn() {
    List<PairPlan> all = PairPlan.all();
    assertThat(all).hasSize(64).doesNotHaveDuplicates();
    assertThat(all.get(0).id()).isEqualTo("f1kb1");
    for (PairPlan plan : all) {
      assertThat(PairPlan.of(plan.id())).contains(plan);
    }
    for (String wrong : List.of("", "f0b1", "f5b1", "f1b9", "f1b0", "f1kkb1", "F1B1", "b1f1")) {
      assertThat(PairPlan.of(wrong)).as(wrong).isEmpty();
    }
  }

  /**
   * methods: F2 beats F1 iff N &gt; in·out/(in+out); B5 beats B1 with its own projection iff N &gt;
   * out.
   */
  @Test
  void choose_randomSizes_followsTheThresholds() {
    Random random = new Random(3);
    for (int k = 0; k < 3000; k++) {
      long n = 1L + random.nextInt(4000);
      long i = 1L + random.nextInt(3000);
      long o = 1L + random.nextInt(3000);
      long r = 1L + random.nextInt((int) Math.min(i, o));
      PairShape shape = new PairShape(n, i, o, r);
      PairPlan chosen = CHOOSER.choose(shape, FREE);
      for (PairPlan other : FREE.legal()) {
        assertThat(chosen.flops(shape, true)).isLessThanOrEqualTo(other.flops(shape, true));
      }
      assertThat(chosen.flops(shape, true)).isLessThanOrEqualTo(PairPlan.PLAIN.flops(shape, true));
      assertThat(chosen.backward().number()).isIn(1, 4, 5);
      if (!chosen.keepsProjection() && chosen.backward().number() != 4) {
        assertThat(chosen.forward().merges()).isEqualTo(n * (i + o) > i * o);
      }
    }
  }

  /** Shares of operations that planning saves against PEFT, of the repository's Llama shapes. */
  @ParameterizedTest
  @CsvSource({
    "512,1376,8,4096,8,1.0",
    "512,1376,8,4096,128,10.4",
    "768,2048,12,4096,128,7.2",
    "768,2560,24,4096,128,6.8",
    "512,1376,8,35000,256,30.7",
    "768,2048,12,35000,256,17.3"
  })
  void savings_llamaShapes_areThoseOfTheReference(
      long d, long f, long layers, long tokens, long rank, double percent) {
    long plain = 0;
    long planned = 0;
    for (long[] size : new long[][] {{d, d, 4}, {d, f, 2}, {f, d, 1}}) {
      PairShape shape = new PairShape(tokens, size[0], size[1], rank);
      plain += layers * size[2] * PairPlan.PLAIN.flops(shape, true);
      planned += layers * size[2] * CHOOSER.choose(shape, FREE).flops(shape, true);
    }
    assertThat(100.0 * (plain - planned) / plain)
        .isCloseTo(percent, org.assertj.core.data.Offset.offset(0.15));
  }

  /** Counted by hand for 10 tokens, in 3, out 5, rank 2. */
  @Test
  void elements_plainAndMerged_areEveryOperandOnce() {
    PairShape shape = new PairShape(10, 3, 5, 2);
    long forward = (30 + 15 + 50) + (30 + 6 + 20) + (20 + 10 + 2 * 50);
    long factors = (50 + 20 + 10) + (50 + 10 + 20) + (20 + 30 + 6); // db, dy·b, da
    long input = (50 + 15 + 30) + (20 + 6 + 2 * 30);
    assertThat(PairPlan.PLAIN.elements(shape, true)).isEqualTo(forward + factors + input);
    assertThat(PairPlan.PLAIN.elements(shape, false)).isEqualTo(forward + factors);
    assertThat(PairPlan.PLAIN.keptElements(shape)).isEqualTo(20);
    assertThat(PairPlan.PLAIN.scratchElements(shape)).isZero();
    PairPlan merged = PairPlan.of("f2b4").orElseThrow();
    long merge = 10 + 6 + 2 * 15;
    long whole = 2 * merge + (30 + 15 + 50) + (50 + 30 + 15) + (50 + 15 + 30);
    assertThat(merged.elements(shape, true)).isEqualTo(whole + (15 + 6 + 10) + (10 + 15 + 6));
    assertThat(merged.keptElements(shape)).isZero();
    assertThat(merged.scratchElements(shape)).isEqualTo(30);
  }

  /** At rank 200 of 512 dyᵀ·x pays for two gradients that are read off it, not for one. */
  @Test
  void choose_oneHalfLearns_countsItsProductsAlone() {
    PairShape both = new PairShape(60_000, 512, 512, 200);
    PairShape one = new PairShape(60_000, 512, 512, 200, Halves.B);
    assertThat(CHOOSER.choose(both, FREE).backward().formsWeightGradient(Halves.BOTH)).isTrue();
    PairPlan chosen = CHOOSER.choose(one, FREE);
    assertThat(chosen.backward().formsWeightGradient(Halves.B)).isFalse();
    assertThat(chosen.flops(one, true)).isLessThan(CHOOSER.choose(both, FREE).flops(one, true));
  }

  @Test
  void rules_dropoutAndHalfWidth_neverMergeUnasked() {
    PairShape shape = new PairShape(60_000, 512, 512, 128);
    for (PlanRules rules : List.of(new PlanRules(true, false), new PlanRules(false, true))) {
      assertThat(rules.offered()).isNotEmpty().noneMatch(PairPlan::merges);
      assertThat(CHOOSER.choose(shape, rules)).isEqualTo(PairPlan.PLAIN);
    }
    assertThat(FREE.legal()).hasSize(40).isEqualTo(FREE.offered());
  }

  /** Inputs that are dropped for the adapter alone cannot be merged; a rounded weight can. */
  @Test
  void fixed_planThatMerges_isRefusedWithDropoutAndTakenInHalfWidth() {
    PairShape shape = new PairShape(60_000, 512, 512, 128);
    PairPlan merged = PairPlan.of("f2b5").orElseThrow();
    PlanChooser fixed = new PlanChooser.Fixed(merged);
    assertThat(fixed.choose(shape, new PlanRules(false, true))).isEqualTo(merged);
    assertThatThrownBy(() -> fixed.choose(shape, new PlanRules(true, true)))
        .hasMessageContaining("dropout acts on the adapter's branch only");
  }

  @ParameterizedTest
  @ValueSource(strings = {"f2kb1", "f1kb4", "f1kb3"})
  void fixed_planThatContradictsItself_isRefused(String id) {
    PlanChooser fixed = new PlanChooser.Fixed(PairPlan.of(id).orElseThrow());
    assertThatThrownBy(() -> fixed.choose(new PairShape(1, 1, 1, 1), FREE))
        .hasMessageContaining(id);
  }
}
