package dev.kindling.checkpoint;

import static dev.kindling.checkpoint.RawSafetensors.entry;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.InvalidInput;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is read, and what is refused: every message names file, found and expected. */
class SafetensorsTest {
  @TempDir private Path folder;
  private Path file;

  @BeforeEach
  void name() {
    file = folder.resolve("weights.safetensors");
  }

  private void refused(String... parts) {
    assertThatThrownBy(() -> Safetensors.open(file))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContaining(file.toString())
        .hasMessageContainingAll(parts);
  }

  @Test
  void open_writtenFile_givesTheSameTensors() {
    float[] a = {1.5f, -0f, Float.MIN_VALUE, Float.MAX_VALUE, 3, 4};
    RawSafetensors.sound(
        file,
        Map.of(
            "b.weight", new Safetensors.Values(a, 2, 3),
            "a.größe", new Safetensors.Values(new float[] {7}, 1),
            "scalar", new Safetensors.Values(new float[] {-2}),
            "empty", new Safetensors.Values(new float[0], 0, 5)));
    Map<String, StoredTensor> found = Safetensors.open(file);
    assertThat(found.keySet()).containsExactly("a.größe", "b.weight", "empty", "scalar");
    assertThat(found.get("b.weight").floats()).isEqualTo(a);
    assertThat(found.get("b.weight").shape()).containsExactly(2, 3);
    assertThat(found.get("a.größe").floats()).containsExactly(7);
    assertThat(found.get("scalar").floats()).containsExactly(-2);
    assertThat(found.get("scalar").shape()).isEmpty();
    assertThat(found.get("empty").elements()).isZero();
  }

  /** Other readers map the file and want the data aligned. */
  @Test
  void write_anyNames_alignsTheData() throws IOException {
    for (String name : new String[] {"t", "tt", "ttt", "ü"}) {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      Safetensors.write(out, Map.of(name, new Safetensors.Values(new float[] {1}, 1)), Map.of());
      assertThat(out.size() % 8).isEqualTo(4);
    }
  }

  @Test
  void write_shapeOfAnotherSize_isAProgrammersError() {
    Map<String, Safetensors.Values> wrong = Map.of("t", new Safetensors.Values(new float[3], 2, 2));
    assertThatThrownBy(() -> Safetensors.write(new ByteArrayOutputStream(), wrong, Map.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("t: shape and values differ");
  }

  /** Bit patterns with known values: 1, -2, 0.1 rounded, the smallest subnormal, the largest. */
  @Test
  void floats_halfTypes_areWidenedExactly() {
    byte[] f16 = words(0x3c00, 0xc000, 0x2e66, 0x0001, 0x7bff);
    RawSafetensors.one(file, "F16", "[5]", 0, 10, f16);
    assertThat(Safetensors.open(file).get("t").floats())
        .containsExactly(1f, -2f, 0x1.998p-4f, 0x1p-24f, 65504f);
    byte[] bf16 = words(0x3f80, 0xc000, 0x3dcd, 0x0001, 0x7f7f);
    RawSafetensors.one(file, "BF16", "[5]", 0, 10, bf16);
    assertThat(Safetensors.open(file).get("t").floats())
        .containsExactly(1f, -2f, 0x1.9ap-4f, 0x1p-133f, 0x1.fep127f);
  }

  private static byte[] words(int... words) {
    byte[] bytes = new byte[2 * words.length];
    for (int i = 0; i < words.length; i++) {
      bytes[2 * i] = (byte) words[i];
      bytes[2 * i + 1] = (byte) (words[i] >> 8);
    }
    return bytes;
  }

  @Test
  void map_middleOfATensor_isThatPart() {
    RawSafetensors.sound(file, Map.of("t", new Safetensors.Values(new float[] {1, 2, 3, 4, 5}, 5)));
    ByteBuffer part = Safetensors.open(file).get("t").map(3, 2);
    assertThat(part.remaining()).isEqualTo(8);
    assertThat(part.getFloat()).isEqualTo(4);
    assertThat(part.getFloat()).isEqualTo(5);
  }

  /** Cut everywhere: in the length, in the header, in the data. */
  @Test
  void open_truncatedAnywhere_isRefused() throws IOException {
    RawSafetensors.sound(file, Map.of("t", new Safetensors.Values(new float[] {1, 2, 3}, 3)));
    byte[] whole = Files.readAllBytes(file);
    for (int length = 0; length < whole.length; length++) {
      RawSafetensors.bytes(file, Arrays.copyOf(whole, length));
      refused("of " + length, "truncated", "fetch it again");
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, 0, 1, 1000, 100_000_001, Long.MAX_VALUE, Long.MIN_VALUE})
  void open_headerLengthOfNoSense_isRefused(long length) {
    RawSafetensors.write(file, length, "{}", new byte[16]);
    refused("@ byte 0", "header of " + length + " bytes", "file of 26");
  }

  @Test
  void open_headerThatIsNoJsonObject_isRefused() {
    RawSafetensors.write(file, "{\"t\": oops}");
    refused("@ byte 8", "header is not JSON");
    RawSafetensors.write(file, "[1, 2]");
    refused("@ byte 8", "header is not an object");
  }

  @Test
  void open_overlappingTensors_isRefused() {
    String header =
        "{\"a\":" + entry("F32", "[2]", 0, 8) + ",\"b\":" + entry("F32", "[2]", 4, 12) + "}";
    RawSafetensors.write(file, header, new byte[12]);
    refused("tensor b", "overlaps", "fetch the file again");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "F32; [2,3]; 0; 20; spans 20 bytes; need 24",
        "BF16; [3]; 0; 12; spans 12 bytes; need 6",
        "F32; [1]; 8; 4; spans -4 bytes; need 4",
        "F32; [1]; -4; 0; spans 4 bytes; need 4",
        "F32; [3]; 16; 28; ends at byte; truncated"
      })
  void open_shapeAndBytesThatDisagree_isRefused(
      String dtype, String shape, int from, int to, String found, String expected) {
    RawSafetensors.one(file, dtype, shape, from, to, new byte[24]);
    refused("tensor t", found, expected);
  }

  /** A tensor without elements may share its place with its neighbour, whatever their names. */
  @Test
  void open_emptyTensorBesideAnother_isNoOverlap() {
    String header =
        "{\"a\":" + entry("F32", "[1]", 0, 4) + ",\"z\":" + entry("F32", "[0,3]", 0, 0) + "}";
    RawSafetensors.write(file, header, new byte[4]);
    assertThat(Safetensors.open(file)).hasSize(2);
  }

  /** The format forbids bytes that belong to no tensor; they would escape every digest. */
  @Test
  void open_bytesOfNoTensor_areRefused() {
    RawSafetensors.one(file, "F32", "[1]", 0, 4, new byte[9]);
    refused("5 bytes", "belong to no tensor");
    RawSafetensors.one(file, "F32", "[1]", 4, 8, new byte[8]);
    refused("tensor t", "4 bytes before it", "belong to no tensor");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "[-1,-1]",
        "[4294967296,4294967296,4294967296]",
        "[4611686018427387905]",
        "[1.5]",
        "\"1\"",
        "[\"1\"]"
      })
  void open_shapeThatIsNone_isRefused(String shape) {
    RawSafetensors.one(file, "F32", shape, 0, 4, new byte[4]);
    refused("tensor t", "shape " + shape, "expected");
  }

  @Test
  void open_unknownDtype_isRefused() {
    RawSafetensors.one(file, "F4", "[8]", 0, 4, new byte[4]);
    refused("tensor t", "unknown dtype F4", "F32, F16, BF16");
  }

  /** A file may hold other types as long as nobody wants them as weights: position_ids is I64. */
  @ParameterizedTest
  @CsvSource({"F64,8", "I64,8", "F8_E4M3,1", "BOOL,1"})
  void type_knownButNoWeight_isRefusedOnceWanted(String dtype, int width) {
    RawSafetensors.one(file, dtype, "[1]", 0, width, new byte[width]);
    StoredTensor tensor = Safetensors.open(file).get("t");
    assertThatThrownBy(tensor::floats)
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll(file.toString(), "tensor t", dtype, "F32, F16 and BF16");
  }

  @Test
  void require_anotherShape_isRefusedWithBoth() {
    RawSafetensors.one(file, "F32", "[2,3]", 0, 24, new byte[24]);
    StoredTensor tensor = Safetensors.open(file).get("t");
    assertThat(tensor.require(2, 3)).isSameAs(tensor);
    assertThatThrownBy(() -> tensor.require(3, 2))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll(file.toString(), "tensor t", "[2, 3]", "expected [3, 2]");
  }
}
