package dev.kindling.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.InvalidInput;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A hand-written WordPiece file of twelve words that pads everything to 12 tokens and cuts it to 4,
 * so that one sees both overridden.
 */
class TextTokenizerTest {
  private static byte[] json() {
    try (InputStream in =
        TextTokenizerTest.class.getResourceAsStream("/tokenizer/wordpiece.json")) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** [CLS] is 2, [SEP] 3, [UNK] 1. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "''; 2 3",
        "good; 2 5 3",
        "A GOOD Film.; 2 4 5 7 10 3",
        "films badly; 2 7 8 6 9 3",
        "café; 2 11 3",
        "xyz film; 2 1 7 3",
        "a a a a a a a a a a a a a; 2 4 4 4 4 4 4 4 4 4 4 4 4 4 3"
      })
  void encode_text_isLowerCasedSplitAndFramed(String text, String ids) {
    try (TextTokenizer tokenizer = TextTokenizer.open(json(), 64)) {
      TextTokenizer.Tokens tokens = tokenizer.encode(text);
      assertThat(tokens.ids())
          .isEqualTo(List.of(ids.split(" ")).stream().mapToInt(Integer::parseInt).toArray());
      assertThat(tokens.truncated()).isFalse();
    }
  }

  /** The last token is what the model was pre-trained to see: it stays whatever is cut. */
  @ParameterizedTest
  @ValueSource(ints = {3, 5, 7})
  void encode_textTooLong_isCutBeforeTheLastTokenAndReported(int longest) {
    try (TextTokenizer tokenizer = TextTokenizer.open(json(), longest)) {
      int[] expected = new int[longest];
      IntStream.range(1, longest - 1).forEach(i -> expected[i] = 5);
      expected[0] = 2;
      expected[longest - 1] = 3;
      TextTokenizer.Tokens cut = tokenizer.encode("good ".repeat(50));
      assertThat(cut.ids()).isEqualTo(expected);
      assertThat(cut.truncated()).isTrue();
      TextTokenizer.Tokens fits = tokenizer.encode("good ".repeat(longest - 2));
      assertThat(fits.ids()).isEqualTo(expected);
      assertThat(fits.truncated()).isFalse();
    }
  }

  @Test
  void encode_manyThreads_giveTheSame() {
    try (TextTokenizer tokenizer = TextTokenizer.open(json(), 64)) {
      assertThat(
              IntStream.range(0, 200)
                  .parallel()
                  .mapToObj(i -> tokenizer.encode("a good film. ".repeat(1 + i % 3)).ids().length)
                  .toList())
          .isEqualTo(IntStream.range(0, 200).mapToObj(i -> 2 + 4 * (1 + i % 3)).toList());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "{}", "not json"})
  void open_brokenFile_isRefused(String broken) {
    assertThatThrownBy(() -> TextTokenizer.open(broken.getBytes(StandardCharsets.UTF_8), 8))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("tokenizer.json", "cannot be read", "fast tokenizer");
  }
}
