package dev.kindling.tensor.onednn;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Attention holds scores of one block of queries for each worker, never [heads, tokens, tokens].
 */
class AttentionScratchTest {
  /** Queries of a block. */
  private static final int BLOCK = 128;

  private static AttentionShape shape(int tokens, int heads, int kvHeads) {
    return new AttentionShape(2, tokens, heads, kvHeads, 64, true);
  }

  /**
   * Three of [heads, block, keys] in F32: scores, their gradients and, in bf16, half of one more;
   * and two sums [keys, kvHidden].
   */
  @ParameterizedTest
  @CsvSource({"12,12,1", "12,4,2", "32,8,3", "1,1,2"})
  void scratch_longRows_isOneBlockOfQueriesForEachWorker(int heads, int kvHeads, int threads) {
    for (Precision precision : Precision.values()) {
      try (Backend backend = new OneDnnBackend(precision, threads)) {
        for (int tokens : new int[] {1, 127, 1024, 4096, 32_768}) {
          AttentionShape s = shape(tokens, heads, kvHeads);
          long block = (long) heads * Math.min(BLOCK, tokens) * tokens;
          assertThat(backend.attentionScratch(s))
              .isLessThanOrEqualTo(threads * (3 * block + 2L * tokens * s.kvHidden()));
          assertThat(backend.attentionKept(s)).isZero();
        }
        long half = backend.attentionScratch(shape(16_384, heads, kvHeads));
        assertThat(backend.attentionScratch(shape(32_768, heads, kvHeads)))
            .as("twice the tokens")
            .isLessThanOrEqualTo(2 * half);
      }
    }
  }
}
