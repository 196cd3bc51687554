package dev.kindling.data;

import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Seeded texts of everything that tokenizers disagree about. */
final class RandomTexts {
  /** Words with merges, all kinds of white space, contractions, marks, joined emoji, controls. */
  private static final List<String> FRAGMENTS =
      List.of(
          ("the| the|Hello| world|singer|café|cafe\u0301|naïve|Straße|İ"
                  + "| |  |     |\n|\n\n|\r\n|\t|\u00a0|\u3000|\u2028|\u200b"
                  + "|'s|'re|'LL|’ve|I'm|10| 2024|3.14|½|٣|Ⅷ|...|?!|—|();| {|//|_x|▁|Ġ"
                  + "|日本|語。|한국|Привет|שלום|مرحبا|हिन्दी|👍🏽|👩\u200d👩\u200d👧|🇩🇪"
                  + "|\0|\u007f|\u0085|\ue000|\ufffd")
              .split("\\|"));

  /**
   * First and last code point of blocks whose letters are the same in every Unicode of the last
   * decade: JVM and library bring different versions.
   */
  private static final int[][] BLOCKS = {
    {0x20, 0x7e},
    {0xa1, 0x17f},
    {0x391, 0x3a1},
    {0x430, 0x44f},
    {0x4e00, 0x9fa5},
    {0xac00, 0xd7a3},
    {0x1f600, 0x1f64f}
  };

  private RandomTexts() {}

  /** So many texts of up to 24 fragments each, one fragment in three a single random character. */
  static Stream<String> of(long seed, int count) {
    Random random = new Random(seed);
    return IntStream.range(0, count).mapToObj(i -> text(random));
  }

  private static String text(Random random) {
    return IntStream.range(0, random.nextInt(25))
        .mapToObj(
            i ->
                random.nextInt(3) == 0
                    ? character(random)
                    : FRAGMENTS.get(random.nextInt(FRAGMENTS.size())))
        .collect(Collectors.joining());
  }

  private static String character(Random random) {
    int[] block = BLOCKS[random.nextInt(BLOCKS.length)];
    return Character.toString(block[0] + random.nextInt(block[1] - block[0] + 1));
  }
}
