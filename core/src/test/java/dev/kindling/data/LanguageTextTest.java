package dev.kindling.data;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.data.LanguageText.Piece;
import dev.kindling.tensor.Backend;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** From text to examples of a language model, by tokenizers of three styles. */
class LanguageTextTest {
  private static final TextTokenizer BYTES = TextTokenizer.open(TokenizerStyle.BYTE_LEVEL.file());
  private static final TextTokenizer FALLBACK =
      TextTokenizer.open(TokenizerStyle.BYTE_FALLBACK.file());
  private static final TextTokenizer WORDS = TextTokenizer.open(TokenizerStyle.WORD_PIECE.file());

  private static final String TEXT = "When shall we three meet againe?\nIn Thunder, or in Raine?";

  private static LanguageText bytes(int maxTokens) {
    return new LanguageText(BYTES, OptionalInt.of(0), maxTokens);
  }

  /** Byte-level files add nothing, byte-fallback ones a first token, WordPiece a last one too. */
  @Test
  void whole_anyStyle_hasEverySpecialOnceAndEndsOnce() {
    int[] plain = BYTES.ids(TEXT, false);
    assertThat(bytes(99).whole(TEXT).get(0).ids())
        .startsWith(plain)
        .endsWith(0)
        .hasSize(plain.length + 1);

    int[] fallback = FALLBACK.ids("hello world", false);
    assertThat(new LanguageText(FALLBACK, OptionalInt.of(2), 99).whole("hello world").get(0).ids())
        .containsExactly(
            IntStream.concat(
                    IntStream.of(1), IntStream.concat(Arrays.stream(fallback), IntStream.of(2)))
                .toArray());

    // [SEP] is 3: the tokenizer adds it, and it is the end token too.
    assertThat(new LanguageText(WORDS, OptionalInt.of(3), 99).whole("good film").get(0).ids())
        .containsExactly(2, 5, 7, 3);
  }

  @Test
  void whole_textThatSpellsItsEnd_endsOnce() {
    int[] once = bytes(99).whole("Exeunt.").get(0).ids();
    assertThat(bytes(99).whole("Exeunt.<|endoftext|>").get(0).ids()).isEqualTo(once);
  }

  @Test
  void whole_tooLong_isCutAndSaysSo() {
    Piece all = bytes(99).whole(TEXT).get(0);
    Piece cut = bytes(7).whole(TEXT).get(0);
    assertThat(cut.ids()).isEqualTo(Arrays.copyOf(all.ids(), 7));
    assertThat(cut.truncated()).isTrue();
    assertThat(all.truncated()).isFalse();
    assertThat(bytes(all.ids().length).whole(TEXT).get(0).truncated()).isFalse();
  }

  @Test
  void whole_nothing_isOnlyItsEndOrNoExample() {
    assertThat(bytes(9).whole("").get(0).ids()).containsExactly(0);
    assertThat(new LanguageText(BYTES, OptionalInt.empty(), 9).whole("")).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"one\n\ntwo\n\n\n three \n", "one\r\n\r\ntwo\r\n \t\r\nthree"})
  void paragraphs_anyLineEnds_arePartedByBlankLines(String text) {
    assertThat(bytes(99).paragraphs(text).stream().map(p -> BYTES.decode(p.ids())))
        .containsExactly("one", "two", "three");
  }

  @ParameterizedTest
  @ValueSource(strings = {"one\r\ntwo\r\nthree", "one\ntwo\nthree"})
  void paragraphs_linesWithoutABlankOne_areOne(String text) {
    assertThat(bytes(99).paragraphs(text)).hasSize(1);
  }

  /** Every token but the very first is predicted exactly once, whatever the window. */
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 7, 20, 21, 22, 1000})
  void windows_anySize_predictEveryTokenOnce(int size) {
    int[] all = bytes(1000).whole(TEXT).get(0).ids();
    List<Integer> predicted = new ArrayList<>(List.of(all[0]));
    for (Piece window : bytes(size).windows(TEXT)) {
      assertThat(window.ids().length).isBetween(2, size);
      Arrays.stream(window.labels()).skip(1).forEach(predicted::add);
    }
    assertThat(predicted).containsExactlyElementsOf(Arrays.stream(all).boxed().toList());
  }

  @Test
  void promptCompletion_learnsTheCompletionAndItsEndOnly() {
    Piece piece = bytes(99).promptCompletion("Who comes here?", " The worthy Thane of Rosse");
    int[] prompt = BYTES.ids("Who comes here?", false);
    assertThat(piece.ids()).startsWith(prompt).endsWith(0);
    assertThat(Arrays.stream(piece.labels()).limit(prompt.length)).containsOnly(Backend.IGNORED);
    int[] learned = Arrays.copyOfRange(piece.labels(), prompt.length, piece.labels().length);
    assertThat(learned)
        .isEqualTo(Arrays.copyOfRange(piece.ids(), prompt.length, piece.ids().length));
    assertThat(BYTES.decode(learned)).isEqualTo(" The worthy Thane of Rosse");
  }

  /** "thane" ends in the middle of a token of the whole: generation would never see that token. */
  @Test
  void promptCompletion_tokenAcrossTheSeam_keepsThePromptAsGenerationSeesIt() {
    int[] whole = BYTES.ids("something", false);
    int[] prompt = BYTES.ids("someth", false);
    assertThat(Arrays.mismatch(prompt, whole)).isLessThan(prompt.length);
    Piece piece = bytes(99).promptCompletion("someth", "ing");
    assertThat(piece.ids()).startsWith(prompt).endsWith(0);
    assertThat(BYTES.decode(piece.ids())).isEqualTo("something");
    assertThat(Arrays.stream(piece.labels()).filter(l -> l == Backend.IGNORED).count())
        .isEqualTo(prompt.length);
  }

  @ParameterizedTest
  @CsvSource({"3,3", "5,5", "99,8"})
  void promptCompletion_tooLong_losesItsEndFirst(int longest, int length) {
    Piece piece =
        new LanguageText(WORDS, OptionalInt.of(3), longest)
            .promptCompletion("good film", " a bad film.");
    assertThat(piece.ids()).hasSize(length);
    assertThat(piece.truncated()).isEqualTo(length == longest);
    // [CLS] good film, then what is learned; the [SEP] after a prompt is no part of it.
    assertThat(piece.labels()).startsWith(Arrays.copyOf(new int[] {-100, -100, -100}, 3));
    if (length == 8) {
      assertThat(piece.ids()).containsExactly(2, 5, 7, 4, 6, 7, 10, 3);
    }
  }

  @Test
  void prompt_templateThatEndsTexts_leavesThePromptOpen() {
    LanguageText text = new LanguageText(WORDS, OptionalInt.of(3), 99);
    assertThat(text.prompt("good film")).containsExactly(2, 5, 7);
    assertThat(new LanguageText(FALLBACK, OptionalInt.of(2), 99).prompt("a")).startsWith(1);
  }
}
