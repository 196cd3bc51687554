package dev.kindling.published;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.Safetensors;
import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.data.TextTokenizer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import onnx.Onnx;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.shade.protobuf.ByteString;

class MiniLmImportTest {
  @TempDir private static Path folder;

  @BeforeAll
  static void importOnce() {
    MiniLmImport.write(Jars.MINILM, folder);
  }

  @Test
  void folder_ofPublishedJar_holdsExactlyTheListedFiles() throws IOException {
    try (var files = Files.list(folder)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrderElementsOf(Published.MINILM.files());
    }
  }

  @Test
  void config_ofPublishedJar_hasTheSizesOfMiniLm() {
    var config = HfFolder.open(folder).config();
    assertThat(config.path("model_type").asText()).isEqualTo("bert");
    Map<String, Integer> sizes =
        Map.of(
            "hidden_size", 384,
            "num_hidden_layers", 6,
            "num_attention_heads", 12,
            "intermediate_size", 1536,
            "vocab_size", 30522,
            "max_position_embeddings", 512,
            "type_vocab_size", 2);
    sizes.forEach((key, size) -> assertThat(config.path(key).asInt()).as(key).isEqualTo(size));
  }

  @Test
  void weights_ofPublishedJar_areEveryParameterOfTheEncoder() {
    Map<String, StoredTensor> tensors = Safetensors.open(folder.resolve("model.safetensors"));
    assertThat(tensors).hasSize(103);
    assertThat(tensors.values().stream().mapToLong(StoredTensor::elements).sum())
        .isEqualTo(22_713_216);
    assertThat(tensors.values()).allMatch(tensor -> tensor.dtype().equals("F32"));
  }

  /**
   * The digests are of a converter in Python that shares no code with this one: it reads protobuf
   * by hand and transposes with NumPy 2.4.6. Elements are copied, so equality is exact.
   */
  @ParameterizedTest
  @CsvSource({
    // as it is in the graph
    "embeddings.word_embeddings.weight, 30522, 384,"
        + " 352d34a4ad725bb742f36fc3f2a2dcfa7f07317926128d47c362198125003892",
    // a Gemm's factor, which the exporter leaves as it is
    "pooler.dense.weight, 384, 384,"
        + " eb9e55f478fe64f53f97c83c03f1823bbd0ddc932f8431ce5dce6ae8babbe873",
    // transposed; a square one, whose shape would not betray a mistake, and an oblong one
    "encoder.layer.0.attention.self.query.weight, 384, 384,"
        + " 37cd347d0b4299ae014caff80bbd196d9f597b14548b26027f800e300128486c",
    "encoder.layer.3.intermediate.dense.weight, 1536, 384,"
        + " 6414f149697978b8552faf034170de46d95d15ff9206ee6fca3b4dafa3859f0e",
  })
  void tensor_ofPublishedJar_equalsForeignConverter(
      String name, long rows, long columns, String digest) {
    StoredTensor tensor =
        Safetensors.open(folder.resolve("model.safetensors")).get(name).require(rows, columns);
    MessageDigest sha = HfFolder.sha256();
    sha.update(tensor.map(0, tensor.elements()));
    assertThat(HexFormat.of().formatHex(sha.digest())).isEqualTo(digest);
  }

  @Test
  void tokenizer_ofPublishedJar_isBerts() throws IOException {
    byte[] json = Files.readAllBytes(folder.resolve("tokenizer.json"));
    try (TextTokenizer tokenizer = TextTokenizer.open(json, 512)) {
      assertThat(tokenizer.encode("Hello, world!").ids())
          .containsExactly(101, 7592, 1010, 2088, 999, 102);
    }
  }

  @Test
  void export_withoutEmbeddings_isRefused(@TempDir Path other) throws IOException {
    assertThatThrownBy(() -> MiniLmImport.write(jar(other, Map.of()), other.resolve("out")))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("made-up.jar", "lacks embeddings.word_embeddings.weight");
  }

  @Test
  void export_withoutSomeTensors_isRefusedNamingThem(@TempDir Path other) throws IOException {
    Map<String, long[]> shapes = new HashMap<>();
    shapes.put("embeddings.word_embeddings.weight", new long[] {7, 24});
    shapes.put("embeddings.position_embeddings.weight", new long[] {5, 24});
    shapes.put("embeddings.token_type_embeddings.weight", new long[] {2, 24});
    shapes.put("encoder.layer.0.intermediate.dense.weight", new long[] {13, 24});
    assertThatThrownBy(() -> MiniLmImport.write(jar(other, shapes), other.resolve("out")))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("lacks 19 of 23 tensors", "bert.embeddings.LayerNorm.weight");
  }

  private static Path jar(Path folder, Map<String, long[]> shapes) throws IOException {
    Onnx.GraphProto.Builder graph = Onnx.GraphProto.newBuilder();
    shapes.forEach(
        (name, shape) -> {
          int elements = (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
          Onnx.TensorProto.Builder tensor =
              Onnx.TensorProto.newBuilder()
                  .setName(name)
                  .setDataType(Onnx.TensorProto.DataType.FLOAT.getNumber())
                  .setRawData(ByteString.copyFrom(ByteBuffer.allocate(4 * elements)));
          Arrays.stream(shape).forEach(tensor::addDims);
          graph.addInitializer(tensor);
        });
    byte[] onnx = Onnx.ModelProto.newBuilder().setGraph(graph).build().toByteArray();
    return Jars.of(
        folder,
        Map.of("all-minilm-l6-v2.onnx", onnx, "all-minilm-l6-v2-tokenizer.json", new byte[] {1}));
  }
}
