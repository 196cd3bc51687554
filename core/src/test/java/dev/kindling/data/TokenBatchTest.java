package dev.kindling.data;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.Backend;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What the model is told of a micro-batch. */
class TokenBatchTest {
  private static final TokenBatch.Rules BERT = new TokenBatch.Rules(0, 0, 64);
  private static final TokenBatch.Rules ROBERTA = new TokenBatch.Rules(1, 2, 64);

  private static final List<Example> ROWS =
      List.of(
          new Example(5, new int[] {7, 8, 9}, new int[] {2}),
          new Example(3, new int[] {4}, new int[] {Backend.IGNORED}));

  @Test
  void of_bert_padsWithZeroAndCountsPositionsFromZero() {
    TokenBatch batch = TokenBatch.of(ROWS, BERT);
    assertThat(batch.examples()).isEqualTo(2);
    assertThat(batch.tokens()).isEqualTo(3);
    assertThat(batch.ids()).containsExactly(7, 8, 9, 4, 0, 0);
    assertThat(batch.positions()).containsExactly(0, 1, 2, 0, 0, 0);
    assertThat(batch.lengths()).containsExactly(3, 1);
    assertThat(batch.labels()).containsExactly(2, Backend.IGNORED);
  }

  /** Hugging Face's create_position_ids_from_input_ids: pad + 1 + t, padding itself at row pad. */
  @Test
  void of_roberta_countsPositionsBehindThePaddingRow() {
    TokenBatch batch = TokenBatch.of(ROWS, ROBERTA);
    assertThat(batch.ids()).containsExactly(7, 8, 9, 4, 1, 1);
    assertThat(batch.positions()).containsExactly(2, 3, 4, 2, 1, 1);
  }

  @Test
  void of_ignoredLabel_countsNoTargetButItsTokens() {
    TokenBatch batch = TokenBatch.of(ROWS, BERT);
    assertThat(batch.targets()).isEqualTo(1);
    assertThat(batch.realTokens()).isEqualTo(4);
  }

  /** Masks must not depend on who shares a micro-batch, so neither may their keys. */
  @Test
  void keys_sameRowInAnotherBatch_areTheSame() {
    long[] together = TokenBatch.of(ROWS, BERT).keys();
    long[] alone = TokenBatch.of(ROWS.subList(1, 2), BERT).keys();
    assertThat(together[3]).isEqualTo(alone[0]);
    assertThat(Arrays.stream(together).limit(4).distinct().count()).isEqualTo(4);
  }

  @Test
  void of_oneTokenOnly_isABatchOfOne() {
    TokenBatch batch = TokenBatch.of(ROWS.subList(1, 2), ROBERTA);
    assertThat(batch.tokens()).isEqualTo(1);
    assertThat(batch.positions()).containsExactly(2);
  }

  @Test
  void packed_classifiersExamplesInOneRow_lookAtThemselvesAndPaddingAtNothing() {
    TokenBatch batch = TokenBatch.packed(List.of(ROWS), BERT, 0);
    assertThat(batch.shape()).isEqualTo(new TokenBatch.Shape(1, 16, 2));
    assertThat(Arrays.copyOf(batch.ids(), 5)).containsExactly(7, 8, 9, 4, 0);
    assertThat(Arrays.copyOf(batch.positions(), 5)).containsExactly(0, 1, 2, 0, 0);
    assertThat(Arrays.copyOf(batch.starts(), 5)).containsExactly(0, 0, 0, 3, 0);
    assertThat(Arrays.copyOf(batch.ends(), 5)).containsExactly(3, 3, 3, 4, 0);
    assertThat(batch.firsts()).containsExactly(0, 3);
    assertThat(batch.labels()).containsExactly(2, Backend.IGNORED);
  }
}
