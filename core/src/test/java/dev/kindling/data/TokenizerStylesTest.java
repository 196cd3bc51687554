package dev.kindling.data;

import static dev.kindling.data.TokenizerStyle.BYTE_FALLBACK;
import static dev.kindling.data.TokenizerStyle.BYTE_LEVEL;
import static dev.kindling.data.TokenizerStyle.WORD_PIECE;
import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the three published styles make of a text, worked out without the library. */
class TokenizerStylesTest {
  /** More tokens than any text here has, and than the library's own default limit of 512. */
  private static final int LONG = 100_000;

  /** A text, and its tokens as the file spells them, with a blank between; the frame left out. */
  record Case(TokenizerStyle style, String text, String tokens) {}

  /**
   * By hand from words and merges; those of the 4 096 byte-level tokens by another program. Ġ and ▁
   * are blanks, Ċ is a newline.
   */
  static Stream<Case> cases() {
    return Stream.of(
        new Case(BYTE_LEVEL, "", ""),
        new Case(BYTE_LEVEL, "the singer", "the Ġsing er"),
        new Case(BYTE_LEVEL, "  the end ", "Ġ Ġthe Ġend Ġ"),
        new Case(BYTE_LEVEL, "   ", "Ġ Ġ Ġ"),
        new Case(BYTE_LEVEL, "a\n\nb", "a Ċ Ċ b"),
        new Case(BYTE_LEVEL, "\r\n\tx", "č Ċ ĉ x"),
        new Case(BYTE_LEVEL, "we'll don't DON'T", "we 'll Ġdon 't ĠD O N ' T"),
        new Case(BYTE_LEVEL, "in 1990.", "in Ġ199 0 ."),
        new Case(BYTE_LEVEL, "café", "c af Ã ©"),
        new Case(BYTE_LEVEL, "cafe\u0301", "c af e Ì ģ"),
        new Case(BYTE_LEVEL, "日本", "æ Ĺ ¥ æ ľ ¬"),
        new Case(BYTE_LEVEL, "👍🏽", "ð Ł ĳ į ð Ł ı ½"),
        new Case(BYTE_LEVEL, "a\u00a0b\0", "a Â ł b Ā"),
        new Case(BYTE_LEVEL, "</s>", "< / s >"),
        new Case(BYTE_FALLBACK, "", ""),
        new Case(BYTE_FALLBACK, "hello world", "▁hello ▁world"),
        new Case(BYTE_FALLBACK, " hello", "▁ ▁hello"),
        new Case(BYTE_FALLBACK, " Hello", "▁▁ Hello"),
        new Case(BYTE_FALLBACK, "the  singer ", "▁the ▁ ▁singer ▁"),
        new Case(BYTE_FALLBACK, "then to an end", "▁the n ▁to ▁an ▁ en d"),
        new Case(BYTE_FALLBACK, "    ", "▁▁▁▁ ▁"),
        new Case(BYTE_FALLBACK, "a\nb\r\n\tc", "▁a <0x0A> b <0x0D> <0x0A> <0x09> c"),
        new Case(BYTE_FALLBACK, "100...!", "▁ 10 0 ... !"),
        new Case(BYTE_FALLBACK, "....", "▁ .. .."),
        new Case(BYTE_FALLBACK, "café", "▁café"),
        new Case(BYTE_FALLBACK, "cafe\u0301", "▁ caf e <0xCC> <0x81>"),
        new Case(BYTE_FALLBACK, "naïve", "▁ n a <0xC3> <0xAF> v e"),
        new Case(BYTE_FALLBACK, "日x", "▁ <0xE6> <0x97> <0xA5> x"),
        new Case(BYTE_FALLBACK, "👍", "▁ <0xF0> <0x9F> <0x91> <0x8D>"),
        new Case(BYTE_FALLBACK, "a\0", "▁a <0x00>"),
        new Case(BYTE_FALLBACK, "<0x0A>", "▁ <0x3C> 0 x 0 A <0x3E>"),
        new Case(BYTE_FALLBACK, "[SEP]", "▁ <0x5B> S E P <0x5D>"),
        new Case(WORD_PIECE, "", ""),
        new Case(WORD_PIECE, " \n\t ", ""),
        new Case(WORD_PIECE, "  A  good\nfilm. ", "a good film ."),
        new Case(WORD_PIECE, "filmss badly", "film ##s ##s bad ##ly"),
        new Case(WORD_PIECE, "CAFÉ cafe\u0301", "cafe cafe"),
        new Case(WORD_PIECE, "日a本", "[UNK] a [UNK]"),
        new Case(WORD_PIECE, "👍🏽 goodbye good-bad", "[UNK] [UNK] good [UNK] bad"),
        new Case(WORD_PIECE, "goo\0d\u00a0film", "good film"),
        new Case(WORD_PIECE, "a".repeat(101), "[UNK]"),
        new Case(WORD_PIECE, "<s>", "[UNK] [UNK] [UNK]"));
  }

  /** The library looks for specials in every text; whoever writes one there gets it. */
  static Stream<Case> specialsByName() {
    return Stream.of(
        new Case(BYTE_LEVEL, "a<pad>b<|endoftext|>", "a <pad> b <|endoftext|>"),
        new Case(BYTE_FALLBACK, "<s>a", "<s> ▁a"),
        new Case(BYTE_FALLBACK, "a</s>b", "▁a </s> ▁ b"),
        new Case(WORD_PIECE, "[SEP] good [sep]", "[SEP] good [UNK] [UNK] [UNK]"));
  }

  @ParameterizedTest
  @MethodSource({"cases", "specialsByName"})
  void encode_text_isSplitAsTheFileSays(Case expected) {
    try (TextTokenizer tokenizer = expected.style().open(LONG)) {
      List<String> tokens =
          expected.tokens().isEmpty() ? List.of() : List.of(expected.tokens().split(" "));
      assertThat(tokenizer.encode(expected.text()).ids())
          .isEqualTo(expected.style().framed(tokens));
    }
  }

  @ParameterizedTest
  @MethodSource("dev.kindling.data.TokenizerStyle#all")
  void encode_randomTexts_areTheLibrarysIdsWithSpecialsOnce(
      TokenizerStyle style, @TempDir Path folder) throws IOException {
    Path file = Files.write(folder.resolve("tokenizer.json"), style.file());
    try (TextTokenizer tokenizer = style.open(LONG);
        HuggingFaceTokenizer library =
            HuggingFaceTokenizer.builder()
                .optTokenizerPath(file)
                .optPadding(false)
                .optTruncation(false)
                .build()) {
      List<Integer> specials = style.specials();
      assertThat(RandomTexts.of(11, 500))
          .allSatisfy(
              text -> {
                int[] ids = tokenizer.encode(text).ids();
                assertThat(Arrays.stream(ids).asLongStream().toArray())
                    .isEqualTo(library.encode(text).getIds());
                assertThat(Arrays.stream(ids).filter(specials::contains).toArray())
                    .isEqualTo(style.framed(List.of()));
              });
    }
  }

  /** No pre-tokenizer here: the whole text is one word, an unknown character its bytes. */
  @Test
  void encode_randomTexts_fallBackToBytesAndMergeByRank() {
    try (TextTokenizer tokenizer = BYTE_FALLBACK.open(LONG)) {
      assertThat(RandomTexts.of(12, 200))
          .allSatisfy(
              text -> {
                String marked = text.isEmpty() ? "" : ("▁" + text).replace(' ', '▁');
                List<String> tokens =
                    SlowBpe.merge(SlowBpe.characters(marked), BYTE_FALLBACK::rank).stream()
                        .flatMap(TokenizerStylesTest::knownOrBytes)
                        .toList();
                assertThat(tokenizer.encode(text).ids()).isEqualTo(BYTE_FALLBACK.framed(tokens));
              });
    }
  }

  private static Stream<String> knownOrBytes(String token) {
    byte[] bytes = token.getBytes(StandardCharsets.UTF_8);
    return BYTE_FALLBACK.contains(token)
        ? Stream.of(token)
        : IntStream.range(0, bytes.length).mapToObj(i -> "<0x%02X>".formatted(bytes[i]));
  }

  @ParameterizedTest
  @MethodSource("dev.kindling.data.TokenizerStyle#all")
  void encode_longText_isCutWhereToldAndKeepsItsFrame(TokenizerStyle style) {
    String text = "a good film. ".repeat(LONG / 20);
    try (TextTokenizer whole = style.open(LONG);
        TextTokenizer cut = style.open(7)) {
      TextTokenizer.Tokens all = whole.encode(text);
      assertThat(all.ids()).hasSizeGreaterThan(LONG / 8);
      assertThat(all.truncated()).isFalse();
      int[] expected = Arrays.copyOf(all.ids(), 7);
      if (style == WORD_PIECE) {
        expected[6] = WORD_PIECE.id("[SEP]");
      }
      assertThat(cut.encode(text).ids()).isEqualTo(expected);
      assertThat(cut.encode(text).truncated()).isTrue();
    }
  }

  /** Java allows half a surrogate pair, UTF-8 does not: the library replaces it, by three. */
  @ParameterizedTest
  @MethodSource("dev.kindling.data.TokenizerStyle#all")
  void encode_halfASurrogatePair_isReplaced(TokenizerStyle style) {
    try (TextTokenizer tokenizer = style.open(LONG)) {
      assertThat(tokenizer.encode("good \ud83d film").ids())
          .isEqualTo(tokenizer.encode("good \ufffd\ufffd\ufffd film").ids());
    }
  }
}
