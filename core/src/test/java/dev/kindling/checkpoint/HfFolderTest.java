package dev.kindling.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.InvalidInput;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A model folder in all the spellings that are published, and broken in all the ways. */
class HfFolderTest {
  private static final WeightSlot QUERY = new WeightSlot("bert.layer.0.query.weight", true, 3, 2);
  private static final WeightSlot GAMMA =
      new WeightSlot("bert.embeddings.LayerNorm.weight", false, 2);
  private static final WeightSlot BETA = new WeightSlot("bert.embeddings.LayerNorm.bias", false, 2);
  private static final List<WeightSlot> SLOTS = List.of(QUERY, GAMMA, BETA);

  @TempDir private Path folder;

  @BeforeEach
  void config() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{\"model_type\": \"bert\"}");
  }

  private static Map<String, Safetensors.Values> tensors(String query, String gamma, String beta) {
    Map<String, Safetensors.Values> tensors = new LinkedHashMap<>();
    tensors.put(query, new Safetensors.Values(new float[] {1, 2, 3, 4, 5, 6}, 3, 2));
    tensors.put(gamma, new Safetensors.Values(new float[] {7, 8}, 2));
    tensors.put(beta, new Safetensors.Values(new float[] {9, 10}, 2));
    return tensors;
  }

  private static Map<String, Safetensors.Values> canonical() {
    return tensors(QUERY.name(), GAMMA.name(), BETA.name());
  }

  private HfFolder whole(Map<String, Safetensors.Values> tensors) {
    RawSafetensors.sound(folder.resolve("model.safetensors"), tensors);
    return HfFolder.open(folder);
  }

  private void index(String map) throws IOException {
    Files.writeString(
        folder.resolve("model.safetensors.index.json"), "{\"weight_map\": {" + map + "}}");
  }

  private static void refused(ThrowingCallable call, String... parts) {
    assertThatThrownBy(call).isInstanceOf(InvalidInput.class).hasMessageContainingAll(parts);
  }

  @ParameterizedTest
  @CsvSource({
    "bert.layer.0.query.weight, bert.embeddings.LayerNorm.weight, bert.embeddings.LayerNorm.bias",
    "layer.0.query.weight, embeddings.LayerNorm.weight, embeddings.LayerNorm.bias",
    "bert.layer.0.query.weight, bert.embeddings.LayerNorm.gamma, bert.embeddings.LayerNorm.beta",
    "layer.0.query.weight, embeddings.LayerNorm.gamma, embeddings.LayerNorm.beta"
  })
  void find_everyPublishedSpelling_isTheSameBase(String query, String gamma, String beta) {
    String digest = whole(canonical()).digest(SLOTS);
    HfFolder base = whole(tensors(query, gamma, beta));
    Map<WeightSlot, StoredTensor> found = base.resolve(SLOTS);
    assertThat(found.get(QUERY).floats()).containsExactly(1, 2, 3, 4, 5, 6);
    assertThat(found.get(GAMMA).floats()).containsExactly(7, 8);
    assertThat(found.get(BETA).floats()).containsExactly(9, 10);
    assertThat(base.digest(SLOTS)).isEqualTo(digest);
  }

  @Test
  void open_shards_areTheSameBase() throws IOException {
    String digest = whole(canonical()).digest(SLOTS);
    Files.delete(folder.resolve("model.safetensors"));
    Map<String, Safetensors.Values> second = canonical();
    Map<String, Safetensors.Values> first = Map.of(QUERY.name(), second.remove(QUERY.name()));
    RawSafetensors.sound(folder.resolve("1.safetensors"), first);
    RawSafetensors.sound(folder.resolve("2.safetensors"), second);
    index(
        "\"%s\": \"1.safetensors\", \"%s\": \"2.safetensors\", \"%s\": \"2.safetensors\""
            .formatted(QUERY.name(), GAMMA.name(), BETA.name()));
    assertThat(HfFolder.open(folder).digest(SLOTS)).isEqualTo(digest);
  }

  @Test
  void digest_oneBitShapeOrName_changesIt() {
    String digest = whole(canonical()).digest(SLOTS);
    assertThat(digest).matches("[0-9a-f]{64}");
    Map<String, Safetensors.Values> other = canonical();
    other.put(GAMMA.name(), new Safetensors.Values(new float[] {7, Math.nextUp(8f)}, 2));
    assertThat(whole(other).digest(SLOTS)).isNotEqualTo(digest);
    assertThat(whole(canonical()).digest(List.of(QUERY, BETA, GAMMA))).isNotEqualTo(digest);
  }

  @Test
  void open_shardThatIsMissing_isNamed() throws IOException {
    index("\"a\": \"gone.safetensors\"");
    refused(
        () -> HfFolder.open(folder),
        folder.resolve("gone.safetensors").toString(),
        "does not exist",
        "index.json names it");
  }

  @Test
  void open_indexAndShardsDisagree_missingExtraAndDuplicateAreNamed() throws IOException {
    Safetensors.Values pair = new Safetensors.Values(new float[] {1, 2}, 2);
    RawSafetensors.sound(folder.resolve("one.safetensors"), Map.of("a", pair, "both", pair));
    RawSafetensors.sound(folder.resolve("two.safetensors"), Map.of("both", pair, "stray", pair));
    index(
        "\"a\": \"one.safetensors\", \"both\": \"two.safetensors\", \"gone\": \"two.safetensors\"");
    refused(
        () -> HfFolder.open(folder),
        "index.json",
        "missing gone (two.safetensors)",
        "extra stray (two.safetensors)",
        "duplicate both (one.safetensors)");
  }

  @Test
  void open_indexThatNamesATensorTwice_isRefused() throws IOException {
    index("\"a\": \"one.safetensors\", \"a\": \"two.safetensors\"");
    refused(() -> HfFolder.open(folder), "index.json", "is not JSON", "Duplicate field 'a'");
  }

  @Test
  void unused_tensorsThatNoSlotTakes_areNamedAsTheFileSpellsThem() {
    Map<String, Safetensors.Values> tensors =
        tensors("layer.0.query.weight", "embeddings.LayerNorm.gamma", BETA.name());
    tensors.put("rotary.inv_freq", new Safetensors.Values(new float[] {1}, 1));
    assertThat(whole(tensors).unused(SLOTS)).containsExactly("rotary.inv_freq");
  }

  @Test
  void open_folderOrFileMissing_isNamed() throws IOException {
    refused(() -> HfFolder.open(folder.resolve("nowhere")), "nowhere", "is not a folder");
    refused(
        () -> HfFolder.open(folder),
        folder.toString(),
        "neither model.safetensors nor model.safetensors.index.json",
        "convert");
    Files.delete(folder.resolve("config.json"));
    refused(() -> HfFolder.open(folder), folder.resolve("config.json").toString(), "not exist");
  }

  @Test
  void open_configThatIsNoJsonObject_isRefused() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{");
    refused(() -> HfFolder.open(folder), "config.json", "is not JSON");
    Files.writeString(folder.resolve("config.json"), "[]");
    refused(() -> HfFolder.open(folder), "config.json", "is not a JSON object");
    Files.writeString(folder.resolve("config.json"), "");
    refused(() -> HfFolder.open(folder), "config.json", "is not a JSON object");
  }

  @Test
  void resolve_missingTensors_areListedAtOnce() {
    Map<String, Safetensors.Values> some = canonical();
    some.remove(QUERY.name());
    some.remove(BETA.name());
    refused(
        () -> whole(some).resolve(SLOTS),
        folder.toString(),
        "lacks 2 of 3 tensors",
        QUERY.name() + ", " + BETA.name(),
        "is config.json of this model?");
  }

  @Test
  void resolve_missingPooler_isGivenAWayOut() {
    List<WeightSlot> slots = List.of(new WeightSlot("bert.pooler.dense.weight", true, 2, 2));
    refused(() -> whole(canonical()).resolve(slots), "modules-to-save = [classifier, pooler]");
  }

  @Test
  void resolve_wrongShape_isNamedWithBoth() {
    List<WeightSlot> slots = List.of(new WeightSlot(QUERY.name(), true, 2, 3));
    refused(
        () -> whole(canonical()).resolve(slots),
        "model.safetensors @ byte",
        QUERY.name(),
        "[3, 2]",
        "expected [2, 3]");
  }

  /** The last of five elements is bad; one before it is as large as the type allows. */
  @ParameterizedTest
  @CsvSource({
    "F32, 7f7fffff, 7fc00000",
    "F32, ff7fffff, ff800000",
    "F16, 7bff, 7c00",
    "F16, fbff, fe01",
    "BF16, 7f7f, ff80",
    "BF16, ff7f, 7fc0"
  })
  void digest_notFiniteValue_isFoundWithItsElement(String dtype, String largest, String bad) {
    int width = largest.length() / 2;
    byte[] data = new byte[5 * width];
    for (int i = 0; i < width; i++) {
      int from = 2 * (width - 1 - i);
      data[3 * width + i] = (byte) Integer.parseInt(largest.substring(from, from + 2), 16);
      data[4 * width + i] = (byte) Integer.parseInt(bad.substring(from, from + 2), 16);
    }
    Path file = folder.resolve("model.safetensors");
    RawSafetensors.one(file, dtype, "[5]", 0, data.length, data);
    List<WeightSlot> slots = List.of(new WeightSlot("t", false, 5));
    refused(
        () -> HfFolder.open(folder).digest(slots),
        file.toString(),
        "tensor t",
        "element 4 is NaN or infinite",
        "fetch it again");
  }

  @Test
  void sha256_file_isTheStandardsDigest() throws IOException {
    Path file = folder.resolve("abc");
    Files.writeString(file, "abc");
    assertThat(HfFolder.sha256(file))
        .isEqualTo("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }
}
