package dev.kindling.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** The styles that models are published with: a small file, and what it puts around every text. */
final class TokenizerStyle {
  /** GPT-2, Llama 3, Qwen. */
  static final TokenizerStyle BYTE_LEVEL = new TokenizerStyle("byte-level", List.of(), List.of());

  /** Llama 2, Mistral. */
  static final TokenizerStyle BYTE_FALLBACK =
      new TokenizerStyle("byte-fallback", List.of("<s>"), List.of());

  /** BERT. */
  static final TokenizerStyle WORD_PIECE =
      new TokenizerStyle("wordpiece", List.of("[CLS]"), List.of("[SEP]"));

  private final String name;
  private final byte[] file;
  private final JsonNode json;
  private final List<String> front;
  private final List<String> back;

  private TokenizerStyle(String name, List<String> front, List<String> back) {
    try (InputStream in =
        TokenizerStyle.class.getResourceAsStream("/tokenizer/" + name + ".json")) {
      this.file = in.readAllBytes();
      this.json = new ObjectMapper().readTree(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    this.name = name;
    this.front = front;
    this.back = back;
  }

  static Stream<TokenizerStyle> all() {
    return Stream.of(BYTE_LEVEL, BYTE_FALLBACK, WORD_PIECE);
  }

  @Override
  public String toString() {
    return name;
  }

  byte[] file() {
    return file.clone();
  }

  TextTokenizer open(int maxTokens) {
    return TextTokenizer.open(file, maxTokens);
  }

  /** Ids of tokens as the file spells them, framed as every text is. */
  int[] framed(List<String> tokens) {
    return Stream.of(front, tokens, back).flatMap(List::stream).mapToInt(this::id).toArray();
  }

  boolean contains(String token) {
    return json.at("/model/vocab").has(token);
  }

  int id(String token) {
    return json.at("/model/vocab").required(token).intValue();
  }

  /** Position of a pair in the list of merges, or {@link SlowBpe#NONE}. */
  int rank(String left, String right) {
    JsonNode merges = json.at("/model/merges");
    String pair = left + " " + right;
    return IntStream.range(0, merges.size())
        .filter(i -> merges.get(i).textValue().equals(pair))
        .findFirst()
        .orElse(SlowBpe.NONE);
  }

  /** The ids of tokens that no text should give: all specials but the one for unknown words. */
  List<Integer> specials() {
    String unknown = json.at("/model/unk_token").asText();
    return StreamSupport.stream(json.get("added_tokens").spliterator(), false)
        .filter(token -> !token.get("content").textValue().equals(unknown))
        .map(token -> token.get("id").intValue())
        .toList();
  }
}
