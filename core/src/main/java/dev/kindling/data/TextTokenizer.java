package dev.kindling.data;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.kindling.InvalidInput;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.Map;

/** A model's own tokenizer, from its {@code tokenizer.json}. Thread-safe. */
public final class TextTokenizer implements AutoCloseable {
  private final HuggingFaceTokenizer tokenizer;

  private TextTokenizer(HuggingFaceTokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** Token ids and whether the text was cut to fit. */
  public record Tokens(int[] ids, boolean truncated) {}

  /**
   * Opens a tokenizer; padding and truncation that the file has baked in are overridden.
   *
   * @param json the bytes of {@code tokenizer.json}
   * @param maxTokens longest result, specials included
   */
  public static TextTokenizer open(byte[] json, int maxTokens) {
    String longest = Integer.toString(maxTokens);
    return open(
        json,
        Map.of(
            "padding",
            "do_not_pad",
            "truncation",
            "longest_first",
            "maxLength",
            longest,
            "modelMaxLength",
            longest)); // the library's own default of 512 is a limit too
  }

  /** Opens a tokenizer that cuts nothing. */
  public static TextTokenizer open(byte[] json) {
    return open(json, Map.of("padding", "do_not_pad", "truncation", "do_not_truncate"));
  }

  private static TextTokenizer open(byte[] json, Map<String, String> options) {
    try {
      return new TextTokenizer(
          HuggingFaceTokenizer.newInstance(new ByteArrayInputStream(json), options));
    } catch (IOException | RuntimeException e) {
      throw new InvalidInput(
          "tokenizer.json", "cannot be read: " + e.getMessage(), "is it of a fast tokenizer?");
    }
  }

  /** Encodes a text with the model's special tokens, cut to the longest length. */
  public Tokens encode(String text) {
    Encoding encoding = tokenizer.encode(text);
    return new Tokens(ints(encoding), encoding.exceedMaxLength());
  }

  /**
   * Encodes a text.
   *
   * @param specials whether the tokens that the model expects around a text are added
   */
  public int[] ids(String text, boolean specials) {
    return ints(tokenizer.encode(text, specials, false));
  }

  private static int[] ints(Encoding encoding) {
    return Arrays.stream(encoding.getIds()).mapToInt(Math::toIntExact).toArray();
  }

  /** The text of tokens, without special ones. */
  public String decode(int[] ids) {
    return tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), true);
  }

  /** Tokens that are added to every text. */
  public int specials() {
    return tokenizer.encode("").getIds().length;
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
