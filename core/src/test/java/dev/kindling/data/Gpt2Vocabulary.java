package dev.kindling.data;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * GPT-2's published {@code tokenizer.json}, rebuilt from the table of ranks that {@code
 * com.knuddels:jtokkit} carries.
 *
 * <p>The table holds tokens only, in the order in which training found them. A token was made of
 * the two parts that all earlier merges leave of it, so merging its bytes by lower ranks alone
 * gives its own merge back.
 */
public final class Gpt2Vocabulary {
  /** Where the tokens that training found end. */
  public static final int END_OF_TEXT = 50256;

  private static final String RANKS = "/com/knuddels/jtokkit/r50k_base.tiktoken";
  private static final String SPECIAL = "<|endoftext|>";
  private static final ObjectMapper JSON = new ObjectMapper();

  private Gpt2Vocabulary() {}

  /** The file, byte for byte as the hub has it. Takes about a second: keep it. */
  public static byte[] tokenizerJson() {
    Map<String, Integer> ranks = ranks();
    ObjectNode file = JSON.createObjectNode().put("version", "1.0");
    file.putNull("truncation").putNull("padding");
    file.putArray("added_tokens")
        .addObject()
        .put("id", END_OF_TEXT)
        .put("special", true)
        .put("content", SPECIAL)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", true);
    file.putNull("normalizer");
    byteLevel(file.putObject("pre_tokenizer"), false, true);
    byteLevel(file.putObject("post_processor"), true, false);
    byteLevel(file.putObject("decoder"), true, true);
    ObjectNode model = file.putObject("model").putNull("dropout").putNull("unk_token");
    model.put("continuing_subword_prefix", "").put("end_of_word_suffix", "").put("fuse_unk", false);
    ObjectNode vocabulary = model.putObject("vocab");
    ranks.forEach(vocabulary::put);
    vocabulary.put(SPECIAL, END_OF_TEXT);
    ArrayNode merges = model.putArray("merges");
    ranks.keySet().stream().filter(t -> t.length() > 1).forEach(t -> merges.add(merge(t, ranks)));
    try {
      return JSON.writeValueAsBytes(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void byteLevel(ObjectNode step, boolean prefixSpace, boolean trimOffsets) {
    step.put("type", "ByteLevel")
        .put("add_prefix_space", prefixSpace)
        .put("trim_offsets", trimOffsets);
  }

  private static String merge(String token, Map<String, Integer> ranks) {
    int own = ranks.get(token);
    List<String> parts =
        SlowBpe.merge(
            SlowBpe.characters(token),
            (left, right) -> {
              int rank = ranks.getOrDefault(left + right, SlowBpe.NONE);
              return rank < own ? rank : SlowBpe.NONE;
            });
    if (parts.size() != 2) {
      throw new IllegalStateException(token + " does not come of two parts but of " + parts);
    }
    return parts.get(0) + " " + parts.get(1);
  }

  /** Token, its bytes spelt as characters, to rank; ranks ascend from 0 without gaps. */
  private static Map<String, Integer> ranks() {
    int[] characters = characters();
    Map<String, Integer> ranks = new LinkedHashMap<>();
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(
                Objects.requireNonNull(
                    Gpt2Vocabulary.class.getResourceAsStream(RANKS),
                    "this module's tests need com.knuddels:jtokkit"),
                StandardCharsets.US_ASCII))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        int space = line.indexOf(' ');
        byte[] bytes = Base64.getDecoder().decode(line.substring(0, space));
        ranks.put(
            IntStream.range(0, bytes.length)
                .mapToObj(i -> Character.toString(characters[bytes[i] & 0xff]))
                .collect(Collectors.joining()),
            Integer.valueOf(line.substring(space + 1)));
      }
      return ranks;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * GPT-2's spelling of bytes: a visible Latin-1 character is itself, others follow from U+0100.
   */
  private static int[] characters() {
    int[] characters = new int[256];
    int next = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean visible = (b > ' ' && b < 0x7f) || (b > 0xa0 && b != 0xad);
      characters[b] = visible ? b : next++;
    }
    return characters;
  }
}
