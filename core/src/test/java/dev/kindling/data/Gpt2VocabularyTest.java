package dev.kindling.data;

import static org.assertj.core.api.Assertions.assertThat;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.Encoding;
import com.knuddels.jtokkit.api.EncodingType;
import com.knuddels.jtokkit.api.IntArrayList;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A real vocabulary of 50 257 tokens, held against an implementation that shares no code. */
class Gpt2VocabularyTest {
  private static final byte[] FILE = Gpt2Vocabulary.tokenizerJson();

  private static final Encoding JTOKKIT =
      Encodings.newLazyEncodingRegistry().getEncoding(EncodingType.R50K_BASE);

  @AutoClose private final TextTokenizer tokenizer = TextTokenizer.open(FILE, 512);

  /** The digest is that of {@code openai-community/gpt2}, 1 355 256 bytes. */
  @Test
  void tokenizerJson_fromRanks_isThePublishedFileToTheByte() throws NoSuchAlgorithmException {
    assertThat(HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(FILE)))
        .isEqualTo("8414cab924d8b9b33013f0d221c5862f365ee9be39c5c2bfae8a5a9e970478a6");
  }

  /** Ids that every account of GPT-2 quotes, so that both cannot be wrong in the same way. */
  @Test
  void encode_wellKnownText_givesTheWellKnownIds() {
    assertThat(tokenizer.encode("Hello world").ids()).containsExactly(15496, 995);
    assertThat(tokenizer.encode("Hello, my dog is cute").ids())
        .containsExactly(15496, 11, 616, 3290, 318, 13779);
    assertThat(tokenizer.encode("").ids()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "The quick brown fox jumps over the lazy dog.",
        "antidisestablishmentarianism, supercalifragilisticexpialidocious",
        "I'm sure they'll say we've 'd'one it; don't! IT'S ROCK'N'ROLL, it’s",
        "for (int i = 0; i < n; i++) {\n\t\tx[i] += a * y[i];  // axpy\n}\n",
        "def f(x):\n    return {\"k\": [x**2, None]}\r\n\r\n",
        "https://example.org/a_b?c=%20&d=1#e user@example.org",
        "3.14159 1234567890 007 1,000,000 -1e-9 ½ ٣٤ Ⅷ x² 10%",
        "naïve café Ångström cafe\u0301 Straße İstanbul ﬁne",
        "日本語のテキスト。中文，한국어 Привет, мир! שלום مرحبا हिन्दी ไทย",
        "👍🏽 👩\u200d👩\u200d👧 🇩🇪 \ud83d\ude00\ud83d\ude00 ∑∫√ €",
        " leading",
        "trailing ",
        "  two  between  ",
        "     x",
        "\n\n\nx\n",
        "\t \t x \t",
        "a\u00a0b\u3000c\u2028d\u200be\ufefff",
        " ",
        "    ",
        "\n",
        "\r\n \r\n",
        "nul\0 bell\u0007 delete\u007f next\u0085 private\ue000 replaced\ufffd"
      })
  void encode_text_isJtokkitsToo(String text) {
    assertThat(tokenizer.encode(text).ids())
        .isEqualTo(JTOKKIT.encodeOrdinary(text).toArray())
        .isNotEmpty();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void encode_randomTexts_areJtokkitsToo(long seed) {
    assertThat(RandomTexts.of(seed, 500))
        .allSatisfy(
            text ->
                assertThat(tokenizer.encode(text).ids())
                    .isEqualTo(JTOKKIT.encodeOrdinary(text).toArray()));
  }

  /** So that each of the 50 000 merges has its turn: every token as a text of its own. */
  @Test
  void encode_eachTokenOfTheVocabulary_isJtokkitsToo() {
    int whole = 0;
    for (int token = 0; token < Gpt2Vocabulary.END_OF_TEXT; token++) {
      IntArrayList one = new IntArrayList();
      one.add(token);
      String text = JTOKKIT.decode(one);
      int[] ids = tokenizer.encode(text).ids();
      assertThat(ids).as(text).isEqualTo(JTOKKIT.encodeOrdinary(text).toArray());
      whole += ids.length == 1 && ids[0] == token ? 1 : 0;
    }
    // The others are no whole characters, or the words are split before their merge can come.
    assertThat(whole).isGreaterThan(49_000);
  }

  /** The library reads names of specials inside a text; encodeOrdinary is what does not. */
  @Test
  void encode_endOfTextByName_isOneToken() {
    assertThat(tokenizer.encode("a<|endoftext|>b").ids())
        .containsExactly(64, Gpt2Vocabulary.END_OF_TEXT, 65);
    assertThat(JTOKKIT.encodeOrdinary("a<|endoftext|>b").size()).isGreaterThan(3);
  }
}
