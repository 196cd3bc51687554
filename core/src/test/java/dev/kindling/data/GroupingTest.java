package dev.kindling.data;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Every example once, little padding, and nothing but the batch decides. */
class GroupingTest {
  private static List<Example> batch(int n) {
    Random random = new Random(n);
    List<Example> batch = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      int[] ids = new int[1 + random.nextInt(40)];
      batch.add(new Example(100 + i, ids, ids));
    }
    return batch;
  }

  private static long cells(List<List<List<Example>>> cut) {
    return cut.stream()
        .mapToLong(
            rows -> {
              TokenBatch laid = TokenBatch.packed(rows, new TokenBatch.Rules(0, 0, 64, true), 0);
              return (long) laid.rows() * laid.tokens();
            })
        .sum();
  }

  @ParameterizedTest
  @CsvSource({"1,1,0", "7,3,0", "32,8,0", "33,8,64", "32,1,40", "32,100,41"})
  void cut_anyBatch_holdsEveryExampleOnceHoweverItCame(int n, int rows, int packTo) {
    Grouping grouping = new Grouping(rows, packTo);
    List<Example> batch = batch(n);
    var cut = grouping.cut(batch);
    List<Long> seen = new ArrayList<>();
    for (List<List<Example>> microBatch : cut) {
      assertThat(microBatch.size()).isBetween(1, rows);
      int examples = microBatch.stream().mapToInt(List::size).sum();
      assertThat(examples).isLessThanOrEqualTo(packTo > 0 ? n : rows);
      for (List<Example> row : microBatch) {
        assertThat(row.stream().mapToInt(e -> e.ids().length).sum())
            .isLessThanOrEqualTo(packTo > 0 ? packTo : 256);
        row.forEach(e -> seen.add(e.position()));
      }
    }
    assertThat(seen).hasSize(n).doesNotHaveDuplicates();
    List<Example> shuffled = new ArrayList<>(batch);
    Collections.shuffle(shuffled, new Random(1));
    assertThat(grouping.cut(shuffled)).isEqualTo(cut);
  }

  @ParameterizedTest
  @CsvSource({"64,4,0,0.06", "64,8,0,0.07", "64,4,80,0.06"})
  void cut_manyLengths_padsLittle(int n, int rows, int packTo, double most) {
    List<Example> batch = batch(n);
    double real = batch.stream().mapToInt(e -> e.ids().length).sum();
    assertThat(1 - real / cells(new Grouping(rows, packTo).cut(batch))).isBetween(0.0, most);
    List<List<List<Example>>> asTheyCome = new ArrayList<>();
    for (int from = 0; from < n; from += rows) {
      asTheyCome.add(batch.subList(from, from + rows).stream().map(List::of).toList());
    }
    assertThat(1 - real / cells(asTheyCome)).isGreaterThan(0.25);
  }

  /** Eight of 10 to 45 tokens take one row of 192 instead of eight of 45; alike ones stay apart. */
  @Test
  void cut_aMicroBatchOfManyLengths_sharesRowsOnlyWhereThatPadsLess() {
    Grouping grouping = new Grouping(8, 0);
    List<Example> mixed = lengths(45, 31, 25, 22, 20, 18, 15, 10);
    assertThat(TokenBatch.shape(grouping.cut(mixed).get(0)))
        .isEqualTo(new TokenBatch.Shape(1, 192, 8));
    List<Example> alike = lengths(20, 20, 20, 20, 20, 20, 20, 20);
    assertThat(TokenBatch.shape(grouping.cut(alike).get(0)))
        .isEqualTo(new TokenBatch.Shape(8, 20, 8));
    List<Example> longer = lengths(500, 300, 200, 150);
    assertThat(TokenBatch.shape(grouping.cut(longer).get(0)))
        .isEqualTo(new TokenBatch.Shape(3, 512, 4));
  }

  /** No micro-batch has more tokens than the largest promised, nor a longer row. */
  @ParameterizedTest
  @CsvSource({"64,8,0", "33,2,0", "40,1,0", "64,4,64"})
  void largest_boundsEveryMicroBatch(int n, int rows, int packTo) {
    Grouping grouping = new Grouping(rows, packTo);
    List<Example> batch = batch(n);
    int longest = batch.stream().mapToInt(e -> e.ids().length).max().orElseThrow();
    List<TokenBatch.Shape> largest = grouping.largest(longest);
    for (List<List<Example>> microBatch : grouping.cut(batch)) {
      TokenBatch.Shape shape = TokenBatch.shape(microBatch);
      assertThat(shape.cells()).isLessThanOrEqualTo(largest.get(0).cells());
      assertThat(shape.tokens()).isLessThanOrEqualTo(largest.get(1).tokens());
    }
  }

  private static List<Example> lengths(int... lengths) {
    List<Example> examples = new ArrayList<>();
    for (int length : lengths) {
      examples.add(new Example(examples.size(), new int[length], new int[1]));
    }
    return examples;
  }

  private static List<List<Example>> rows(int length) {
    return List.of(List.of(new Example(0, new int[length], new int[length])));
  }

  /** By turns the tasks would get 40 + 18 and 25 + 12. */
  @Test
  void deal_longestFirst_levelsTheTasks() {
    var cut = List.of(rows(40), rows(25), rows(18), rows(12));
    assertThat(Grouping.deal(cut, 2)).containsExactly(0, 1, 1, 0);
    assertThat(Grouping.deal(cut, 1)).containsOnly(0);
    assertThat(Grouping.deal(cut, 4)).containsExactly(0, 1, 2, 3);
    assertThat(Grouping.deal(List.of(), 3)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({"32,4,2", "64,4,3", "97,3,5"})
  void deal_manyMicroBatches_isWithinAThirdOfEven(int n, int rows, int tasks) {
    var cut = new Grouping(rows, 0).cut(batch(n));
    int[] dealt = Grouping.deal(cut, tasks);
    double[] load = new double[tasks];
    for (int i = 0; i < dealt.length; i++) {
      load[dealt[i]] += cells(List.of(cut.get(i)));
    }
    assertThat(Arrays.stream(load).max().orElseThrow())
        .isLessThanOrEqualTo(4.0 / 3 * Arrays.stream(load).sum() / tasks);
  }
}
