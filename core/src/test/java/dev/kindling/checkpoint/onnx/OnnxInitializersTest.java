package dev.kindling.checkpoint.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.Safetensors.Values;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Map;
import onnx.Onnx;
import org.junit.jupiter.api.Test;
import org.nd4j.shade.protobuf.ByteString;

class OnnxInitializersTest {
  private final Onnx.GraphProto.Builder graph = Onnx.GraphProto.newBuilder();

  @Test
  void namedInitializer_anyStorage_keepsNameAndLayout() throws IOException {
    graph.addInitializer(raw("pooler.dense.weight", new float[] {1, 2, 3, 4, 5, 6}, 2, 3));
    graph.addInitializer(
        Onnx.TensorProto.newBuilder()
            .setName("pooler.dense.bias")
            .setDataType(Onnx.TensorProto.DataType.FLOAT.getNumber())
            .addDims(2)
            .addFloatData(7)
            .addFloatData(8));
    Map<String, Values> weights = read(bytes());
    assertThat(weights).containsOnlyKeys("pooler.dense.weight", "pooler.dense.bias");
    assertThat(weights.get("pooler.dense.weight").data()).containsExactly(1, 2, 3, 4, 5, 6);
    assertThat(weights.get("pooler.dense.weight").shape()).containsExactly(2, 3);
    assertThat(weights.get("pooler.dense.bias").data()).containsExactly(7, 8);
  }

  @Test
  void anonymousFactor_ofMatMul_isNamedByTheNodeAndTransposed() throws IOException {
    graph.addInitializer(raw("onnx::MatMul_17", new float[] {1, 2, 3, 4, 5, 6}, 3, 2));
    multiply("/encoder/layer.0/output/dense/MatMul", "onnx::MatMul_17");
    Map<String, Values> weights = read(bytes());
    assertThat(weights).containsOnlyKeys("encoder.layer.0.output.dense.weight");
    Values w = weights.get("encoder.layer.0.output.dense.weight");
    assertThat(w.shape()).containsExactly(2, 3);
    assertThat(w.data()).containsExactly(1, 3, 5, 2, 4, 6);
  }

  @Test
  void constants_integersAndUnexplainedNames_areLeftOut() throws IOException {
    graph.addInitializer(raw("onnx::Add_3", new float[] {1}, 1));
    graph.addInitializer(
        raw("embeddings.position_ids", new float[] {0, 0}, 1).toBuilder()
            .setDataType(Onnx.TensorProto.DataType.INT64.getNumber()));
    assertThat(read(bytes())).isEmpty();
  }

  @Test
  void initializer_shorterThanItsShape_isRefused() {
    graph.addInitializer(raw("a.weight", new float[] {1, 2, 3}, 2, 2));
    assertThatThrownBy(() -> read(bytes()))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("model.onnx", "a.weight", "holds 3 floats", "[2, 2] needs 4");
  }

  @Test
  void initializer_inAnotherFile_isRefused() {
    graph.addInitializer(
        raw("a.weight", new float[0], 2).toBuilder()
            .addExternalData(Onnx.StringStringEntryProto.newBuilder().setKey("location")));
    assertThatThrownBy(() -> read(bytes()))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("a.weight", "single file");
  }

  @Test
  void file_cutShort_isRefused() {
    graph.addInitializer(raw("a.weight", new float[] {1, 2, 3, 4}, 2, 2));
    byte[] whole = bytes();
    assertThatThrownBy(() -> read(Arrays.copyOf(whole, whole.length - 5)))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContaining("model.onnx: is not ONNX, or cut short");
  }

  private void multiply(String node, String factor) {
    graph.addNode(
        Onnx.NodeProto.newBuilder()
            .setOpType("MatMul")
            .setName(node)
            .addInput("x")
            .addInput(factor)
            .addOutput("y"));
  }

  private byte[] bytes() {
    return Onnx.ModelProto.newBuilder().setGraph(graph).build().toByteArray();
  }

  private static Map<String, Values> read(byte[] file) throws IOException {
    return OnnxInitializers.read(new ByteArrayInputStream(file), "model.onnx");
  }

  private static Onnx.TensorProto raw(String name, float[] values, long... shape) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    Onnx.TensorProto.Builder tensor =
        Onnx.TensorProto.newBuilder()
            .setName(name)
            .setDataType(Onnx.TensorProto.DataType.FLOAT.getNumber())
            .setRawData(ByteString.copyFrom(bytes));
    Arrays.stream(shape).forEach(tensor::addDims);
    return tensor.build();
  }
}
