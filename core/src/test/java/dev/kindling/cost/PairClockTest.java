package dev.kindling.cost;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.cost.PairClock.Timed;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.lora.plan.PlanRules;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Which orders are timed, and that what was fastest is what is chosen. */
class PairClockTest {
  private static final PairShape SHAPE = new PairShape(97, 64, 96, 5);
  private static final PlanRules FREE = new PlanRules(false, false);

  @Test
  void candidates_holdPlainAndTheFewestOperations_andNoOrderTwice() {
    List<PairPlan> candidates = PairClock.candidates(SHAPE, FREE);
    assertThat(candidates)
        .contains(PairPlan.PLAIN, new PlanChooser.FewestFlops().choose(SHAPE, FREE));
    assertThat(candidates.stream().map(plan -> plan.products(SHAPE, true)).distinct())
        .hasSameSizeAs(candidates);
  }

  @Test
  void candidates_withDropout_mergeNothing() {
    assertThat(PairClock.candidates(SHAPE, new PlanRules(true, false)))
        .isNotEmpty()
        .noneMatch(PairPlan::merges);
  }

  @Test
  void time_everyCandidate_isTimedFastestFirst() {
    try (Backend backend = new OneDnnBackend(Precision.FP32, 1)) {
      List<Timed> timed = PairClock.time(backend, SHAPE, FREE, StoredType.F32, Storage.FP32, 0);
      assertThat(timed.stream().map(Timed::plan))
          .containsExactlyInAnyOrderElementsOf(
              PairClock.candidates(SHAPE, FREE).stream().map(PairPlan::id).toList());
      assertThat(timed.stream().map(Timed::seconds)).isSorted().allMatch(s -> s > 0 && s < 60);
      assertThat(PairClock.table(timed).choose(SHAPE, FREE).id()).isEqualTo(timed.get(0).plan());
    }
  }

  @Test
  void table_choosesByTheNextFewerTokens_elseByTheLeast_elseByOperations() {
    PlanChooser.Measured table =
        PairClock.table(
            List.of(
                new Timed(SHAPE.over(100), "f1b1", 2),
                new Timed(SHAPE.over(100), "f2b5", 1),
                new Timed(SHAPE.over(400), "f2b4", 1),
                new Timed(SHAPE.over(400), "f1kb1", 3)));
    assertThat(table.choose(SHAPE.over(100), FREE).id()).isEqualTo("f2b5");
    assertThat(table.choose(SHAPE.over(399), FREE).id()).isEqualTo("f2b5");
    assertThat(table.choose(SHAPE.over(5000), FREE).id()).isEqualTo("f2b4");
    assertThat(table.choose(SHAPE.over(7), FREE).id()).isEqualTo("f2b5");
    PairShape other = new PairShape(100, 64, 97, 5);
    assertThat(table.choose(other, FREE))
        .isEqualTo(new PlanChooser.FewestFlops().choose(other, FREE));
    // A table of another run is no licence for what this one forbids.
    PlanRules drops = new PlanRules(true, false);
    assertThat(table.choose(SHAPE.over(100), drops).merges()).isFalse();
  }
}
