package dev.kindling.data;

import dev.kindling.tensor.Backend;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Pattern;

/**
 * Turns text into examples of a language model. Each text gets the special tokens that the
 * tokenizer puts around it, and ends in the end token, once, even where the tokenizer adds that
 * too: a model that never saw a text end does not know how to.
 *
 * @param tokenizer one that cuts nothing
 * @param end the token that ends a text; empty if the model has none
 * @param maxTokens of an example
 */
public record LanguageText(TextTokenizer tokenizer, OptionalInt end, int maxTokens) {
  private static final Pattern BLANK_LINES = Pattern.compile("(?>\\R)\\h*(?:(?>\\R)\\h*)+");

  /**
   * An example before it has a place.
   *
   * @param labels as long as ids
   * @param truncated whether the text was cut to fit
   */
  public record Piece(int[] ids, int[] labels, boolean truncated) {}

  /** A whole text, cut after the most tokens; empty if the text has no token at all. */
  public List<Piece> whole(String text) {
    int[] all = ended(tokenizer.ids(text, true));
    int[] ids = Arrays.copyOf(all, Math.min(all.length, maxTokens));
    return ids.length == 0 ? List.of() : List.of(new Piece(ids, ids, ids.length < all.length));
  }

  /** The paragraphs of a text, which blank lines part, as texts of their own. */
  public List<Piece> paragraphs(String text) {
    return BLANK_LINES
        .splitAsStream(text)
        .map(String::strip)
        .filter(paragraph -> !paragraph.isEmpty())
        .flatMap(paragraph -> whole(paragraph).stream())
        .toList();
  }

  /**
   * All of a text in consecutive windows of the most tokens. Each begins with the last token of the
   * one before, so that every token but the first is predicted once.
   */
  public List<Piece> windows(String text) {
    int[] all = ended(tokenizer.ids(text, true));
    List<Piece> pieces = new ArrayList<>();
    int stride = Math.max(1, maxTokens - 1);
    for (int from = 0; from == 0 || from + 1 < all.length; from += stride) {
      int[] ids = Arrays.copyOfRange(all, from, Math.min(from + maxTokens, all.length));
      if (ids.length > 0) {
        pieces.add(new Piece(ids, ids, false));
      }
    }
    return pieces;
  }

  /**
   * A prompt and what should follow it, of which only the latter is learned, end token included.
   *
   * <p>The prompt's tokens are what generation will see: those of the prompt alone. The
   * completion's are what follows them in the tokens of both together or, where a token spans the
   * seam, those of the completion alone.
   */
  public Piece promptCompletion(String prompt, String completion) {
    int[] before = prompt(prompt);
    int[] both = ended(tokenizer.ids(prompt + completion, true));
    boolean follows = Arrays.mismatch(before, both) == before.length;
    if (!follows) {
      int[] after = ended(tokenizer.ids(completion, false));
      both = Arrays.copyOf(before, before.length + after.length);
      System.arraycopy(after, 0, both, before.length, after.length);
    }
    int[] ids = Arrays.copyOf(both, Math.min(both.length, maxTokens));
    int[] labels = ids.clone();
    Arrays.fill(labels, 0, Math.min(before.length, labels.length), Backend.IGNORED);
    return new Piece(ids, labels, ids.length < both.length);
  }

  /** A text that is to be continued: with the tokens before it, without any that end it. */
  public int[] prompt(String text) {
    int[] ids = tokenizer.ids(text, true);
    int[] plain = tokenizer.ids(text, false);
    boolean ended = end.isPresent() && ids.length > 0 && last(ids) == end.getAsInt();
    boolean own = plain.length > 0 && last(plain) == last(ids);
    return ended && !own ? Arrays.copyOf(ids, ids.length - 1) : ids;
  }

  private int[] ended(int[] ids) {
    if (end.isEmpty() || (ids.length > 0 && last(ids) == end.getAsInt())) {
      return ids;
    }
    int[] more = Arrays.copyOf(ids, ids.length + 1);
    more[ids.length] = end.getAsInt();
    return more;
  }

  private static int last(int[] ids) {
    return ids[ids.length - 1];
  }
}
