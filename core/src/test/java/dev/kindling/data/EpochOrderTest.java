package dev.kindling.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every epoch is a permutation, found at any place in both directions. */
class EpochOrderTest {
  private static long[] epoch(EpochOrder order, long epoch) {
    long n = order.examples();
    return LongStream.range(0, n).map(i -> order.exampleAt(epoch * n + i)).toArray();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 7, 16, 17, 64, 65, 1000})
  void exampleAt_everyEpoch_isAPermutation(long n) {
    EpochOrder order = new EpochOrder(n, true, 42);
    long[] all = LongStream.range(0, n).toArray();
    for (long epoch = 0; epoch < 5; epoch++) {
      long[] visited = epoch(order, epoch);
      Arrays.sort(visited);
      assertThat(visited).isEqualTo(all);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 7, 64, 1000})
  void positionOf_everyExample_invertsExampleAt(long n) {
    for (boolean shuffle : new boolean[] {true, false}) {
      EpochOrder order = new EpochOrder(n, shuffle, -3);
      for (long g = 0; g < 3 * n; g++) {
        assertThat(order.positionOf(order.exampleAt(g), g / n)).isEqualTo(g);
      }
    }
  }

  @Test
  void exampleAt_notShuffled_isFileOrderInEveryEpoch() {
    EpochOrder order = new EpochOrder(7, false, 42);
    for (long g = 0; g < 30; g++) {
      assertThat(order.exampleAt(g)).isEqualTo(g % 7);
    }
  }

  @Test
  void exampleAt_otherEpochOrSeed_isAnotherOrder() {
    Set<String> orders = new HashSet<>();
    for (long seed = 0; seed < 4; seed++) {
      for (long epoch = 0; epoch < 8; epoch++) {
        orders.add(Arrays.toString(epoch(new EpochOrder(64, true, seed), epoch)));
      }
    }
    assertThat(orders).hasSize(32);
  }

  @Test
  void exampleAt_sameSeed_isTheSameOrder() {
    assertThat(epoch(new EpochOrder(100, true, 5), 3))
        .isEqualTo(epoch(new EpochOrder(100, true, 5), 3));
  }

  /** Four rounds over two-bit halves lean: measured up to 1.19 at n = 7, 1.32 at n = 5. */
  @Test
  void exampleAt_manyEpochs_putsEveryExampleEverywhere() {
    int n = 7;
    int epochs = 7000;
    int[][] counts = new int[n][n];
    EpochOrder order = new EpochOrder(n, true, 1);
    for (long g = 0; g < (long) epochs * n; g++) {
      counts[(int) (g % n)][(int) order.exampleAt(g)]++;
    }
    for (int[] place : counts) {
      for (int count : place) {
        assertThat(count).isBetween(700, 1300);
      }
    }
  }

  /** No two neighbours of the file tend to stay neighbours, as a weak network would leave them. */
  @Test
  void exampleAt_oneEpoch_tearsNeighboursApart() {
    long[] order = epoch(new EpochOrder(1000, true, 9), 0);
    int close = 0;
    for (int i = 1; i < order.length; i++) {
      close += Math.abs(order[i] - order[i - 1]) <= 2 ? 1 : 0;
    }
    assertThat(close).isLessThan(16); // 4 expected
  }

  @Test
  void exampleAt_moreExamplesThanAnIntHolds_isStillInvertible() {
    long n = (1L << 40) + 7;
    EpochOrder order = new EpochOrder(n, true, 11);
    for (long g : new long[] {0, 1, n - 1, n, 5 * n + 12345}) {
      long example = order.exampleAt(g);
      assertThat(example).isBetween(0L, n - 1);
      assertThat(order.positionOf(example, g / n)).isEqualTo(g);
    }
  }

  @Test
  void epochOrder_noExamples_isRefused() {
    assertThatThrownBy(() -> new EpochOrder(0, true, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("at least one example, not 0");
  }
}
