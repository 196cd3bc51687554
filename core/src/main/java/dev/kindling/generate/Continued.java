package dev.kindling.generate;

import dev.kindling.model.LanguageModel;
import dev.kindling.model.LanguageModel.Continuation;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * A prompt's continuation.
 *
 * @param ids tokens after the prompt, without the one that ends it
 * @param stop why there are no more
 */
public record Continued(List<Integer> ids, Stop stop) {
  /** Why a continuation ended. */
  public enum Stop {
    /** The model ended the text. */
    END,
    /** As many tokens as were asked for. */
    MAX_TOKENS,
    /** The model's position table is full. */
    CONTEXT
  }

  /**
   * Continues a prompt.
   *
   * @param prompt at least one token, fewer than context
   * @param maxTokens most tokens to add
   * @param context most tokens of prompt and continuation together
   * @param ends tokens that end a text
   * @param each told of the tokens so far, whenever there is one more
   */
  public static Continued of(
      LanguageModel model,
      int[] prompt,
      int maxTokens,
      int context,
      Set<Integer> ends,
      Sampler sampler,
      int vocabulary,
      Consumer<List<Integer>> each) {
    List<Integer> ids = new ArrayList<>();
    float[] logits = new float[vocabulary];
    int capacity = (int) Math.min(context, (long) prompt.length + maxTokens);
    try (Continuation text = model.continuation(capacity)) {
      int[] fresh = prompt;
      while (ids.size() < maxTokens) {
        text.append(fresh, logits);
        int next = sampler.next(logits, ids.size());
        if (ends.contains(next)) {
          return new Continued(ids, Stop.END);
        }
        ids.add(next);
        each.accept(ids);
        if (prompt.length + ids.size() >= context) {
          return new Continued(ids, Stop.CONTEXT);
        }
        fresh = new int[] {next};
      }
    }
    return new Continued(ids, Stop.MAX_TOKENS);
  }
}
