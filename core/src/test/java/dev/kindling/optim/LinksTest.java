package dev.kindling.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Where a run is cut. */
class LinksTest {
  private static List<Long> cuts(Links links) {
    List<Long> cuts = new ArrayList<>();
    for (long done = 0; done <= links.steps(); done++) {
      if (links.cutAfter(done)) {
        cuts.add(done);
      }
    }
    return cuts;
  }

  @Test
  void cutAfter_anyCount_isAsEvenAsItCanBe() {
    assertThat(cuts(new Links(20_000, 4, 1))).containsExactly(5000L, 10_000L, 15_000L);
    assertThat(cuts(new Links(10, 4, 1))).containsExactly(2L, 5L, 7L);
    assertThat(cuts(Links.of(3, 9, 1))).containsExactly(1L, 2L);
    assertThat(cuts(Links.of(10, 4, 3))).containsExactly(3L, 6L, 9L);
    assertThat(cuts(Links.of(10, 2, 3))).containsExactly(6L);
    assertThat(cuts(Links.ONE)).isEmpty();
  }

  /** Every step is in one link, links are in order, and all of them are there. */
  @ParameterizedTest
  @CsvSource({"1,1,1", "7,3,1", "100,7,1", "10,4,3", "64,64,1", "50,5,10", "51,6,10"})
  void link_everyStep_isWhereItBegan(long steps, long count, long unit) {
    Links links = new Links(steps, count, unit);
    long link = 0;
    for (long step = 0; step < steps; step++) {
      long now = links.link(step);
      assertThat(now).isIn(link, link + 1);
      assertThat(links.begun(step)).isLessThanOrEqualTo(step);
      assertThat(links.next(step)).isGreaterThan(step).isLessThanOrEqualTo(steps);
      assertThat(links.cutAfter(step)).isEqualTo(now != link);
      assertThat(links.begun(step) % unit).isZero();
      link = now;
    }
    assertThat(link).isEqualTo(count - 1);
    assertThatThrownBy(() -> new Links(steps, steps + 1, 1))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
