package dev.kindling.generate;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.generate.Continued.Stop;
import dev.kindling.model.Golden;
import dev.kindling.model.LanguageModel;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Continuing with kept keys and values is reading everything anew for each token. */
class ContinuedTest {
  private static final Sampler GREEDY = new Sampler(0, 1, 0);

  private static Continued continued(
      Golden golden, LanguageModel model, int[] prompt, int most, int context, Set<Integer> ends) {
    return Continued.of(
        model, prompt, most, context, ends, GREEDY, golden.plan.vocabulary(), ids -> {});
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "llama3-rope-tied", "qwen2", "gpt2"})
  void greedy_withKeptKeys_equalsReadingAllAnewTokenForToken(String family) {
    Golden golden = new Golden(family);
    int[] prompt = Arrays.copyOf(golden.rows.get(0).ids(), 4);
    try (Nd4jBackend backend = Nd4jBackend.open(1);
        LanguageModel model = (LanguageModel) golden.model(backend)) {
      int[] all = prompt;
      List<Integer> expected = new ArrayList<>();
      int vocabulary = golden.plan.vocabulary();
      for (int n = 0; n < 24; n++) {
        model.evaluate(TokenBatch.of(List.of(new Example(0, all, all)), golden.plan.rules()));
        float[] logits = model.logits();
        int next =
            GREEDY.next(Arrays.copyOfRange(logits, logits.length - vocabulary, logits.length), n);
        expected.add(next);
        all = Arrays.copyOf(all, all.length + 1);
        all[all.length - 1] = next;
      }
      Continued found = continued(golden, model, prompt, 24, 1000, Set.of());
      assertThat(found.ids()).isEqualTo(expected);
      assertThat(found.stop()).isEqualTo(Stop.MAX_TOKENS);

      int end = expected.get(7);
      Continued ended = continued(golden, model, prompt, 24, 1000, Set.of(end, 999));
      assertThat(ended.ids()).isEqualTo(expected.subList(0, expected.indexOf(end)));
      assertThat(ended.stop()).isEqualTo(Stop.END);
    }
  }

  @Test
  void context_full_stopsThere() {
    Golden golden = new Golden("gpt2");
    try (Nd4jBackend backend = Nd4jBackend.open(1);
        LanguageModel model = (LanguageModel) golden.model(backend)) {
      Continued found = continued(golden, model, new int[] {5, 6, 7}, 100, 8, Set.of());
      assertThat(found.ids()).hasSize(5);
      assertThat(found.stop()).isEqualTo(Stop.CONTEXT);
    }
  }
}
