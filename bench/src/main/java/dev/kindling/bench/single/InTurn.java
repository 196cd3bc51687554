package dev.kindling.bench.single;

import dev.kindling.bench.Load;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * Two ways to the same result, timed in turn in one process, so that whatever else the machine does
 * meets both alike. Rounds go on until 15 have had the machine to themselves, but not beyond 45;
 * the 15 that others disturbed least count.
 *
 * @param firstMs median time of the first way, in milliseconds
 * @param secondMs of the second
 * @param low lower quartile of the second's time over the first's in the same round
 * @param high upper quartile
 * @param othersCores cores that other processes kept busy in those rounds, on average: far above 0,
 *     the times are noise
 */
record InTurn(double firstMs, double secondMs, double low, double high, double othersCores) {
  private static final int ROUNDS = 15;
  private static final int MOST_ROUNDS = 45;

  /** Cores; what counts busy time counts hundredths of a second. */
  private static final double QUIET = 0.1;

  /** A sample takes as many calls as fill this. */
  private static final double SAMPLE_MS = 100;

  private record Round(double first, double second, double others) {}

  /** Warms both up, then times them. */
  static InTurn of(Runnable first, Runnable second) {
    int firstCalls = calls(first);
    int secondCalls = calls(second);
    List<Round> rounds = new ArrayList<>();
    int quiet = 0;
    while (quiet < ROUNDS && rounds.size() < MOST_ROUNDS) {
      Load load = Load.now();
      double firstMs = ms(first, firstCalls);
      double secondMs = ms(second, secondCalls);
      Round round = new Round(firstMs, secondMs, load.othersSince());
      rounds.add(round);
      quiet += round.others < QUIET ? 1 : 0;
    }
    rounds.sort(Comparator.comparingDouble(Round::others));
    List<Round> best = rounds.subList(0, ROUNDS);
    double[] ratios = sorted(best, round -> round.second / round.first);
    return new InTurn(
        sorted(best, Round::first)[ROUNDS / 2],
        sorted(best, Round::second)[ROUNDS / 2],
        ratios[ROUNDS / 4],
        ratios[ROUNDS * 3 / 4],
        best.stream().mapToDouble(Round::others).average().orElseThrow());
  }

  /** The second's median over the first's: below 1, the second is faster. */
  double ratio() {
    return secondMs / firstMs;
  }

  private static int calls(Runnable way) {
    ms(way, 1); // compiles
    return (int) Math.max(1, Math.min(1000, SAMPLE_MS / ms(way, 2)));
  }

  private static double ms(Runnable way, int calls) {
    long start = System.nanoTime();
    for (int i = 0; i < calls; i++) {
      way.run();
    }
    return (System.nanoTime() - start) / 1e6 / calls;
  }

  private static double[] sorted(List<Round> rounds, ToDoubleFunction<Round> value) {
    double[] values = rounds.stream().mapToDouble(value).toArray();
    Arrays.sort(values);
    return values;
  }
}
