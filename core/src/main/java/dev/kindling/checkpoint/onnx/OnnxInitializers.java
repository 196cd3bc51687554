package dev.kindling.checkpoint.onnx;

import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.Safetensors.Values;
import dev.kindling.tensor.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import onnx.Onnx;
import org.nd4j.shade.protobuf.CodedInputStream;
import org.nd4j.shade.protobuf.InvalidProtocolBufferException;

/**
 * The float weights of a PyTorch export, under the names of its state dict.
 *
 * <p>PyTorch's exporter keeps the name of a parameter that it passes through unchanged. The weight
 * w [out, in] of a linear layer under a batch of sequences becomes a MatMul by wᵀ, a constant that
 * the exporter folds and names {@code onnx::MatMul_<number>}. What it was can still be read off the
 * node that multiplies by it, whose name is the path of the module: {@code
 * /encoder/layer.0/attention/self/query/MatMul} stands for {@code
 * encoder.layer.0.attention.self.query.weight}. Such a weight is turned back to [out, in].
 */
public final class OnnxInitializers {
  /** How names begin that the exporter made up. */
  private static final String ANONYMOUS = "onnx::";

  private OnnxInitializers() {}

  /**
   * Reads a whole file. Other types than float32, and made-up names that no MatMul explains, are
   * left out: they are constants of the graph such as position numbers.
   *
   * <p>Holds the file and its floats for a while: twice its size in heap.
   *
   * @param in the file, at most 2 GiB; not closed
   * @param where its name, for messages
   * @return weights by name
   * @throws InvalidInput if it is not ONNX, keeps its weights in other files, or has a weight of
   *     the wrong size
   * @throws IOException if the stream fails
   */
  public static Map<String, Values> read(InputStream in, String where) throws IOException {
    Onnx.GraphProto graph = parse(in, where).getGraph();
    Map<String, String> products = products(graph);
    Map<String, Values> weights = new TreeMap<>();
    for (Onnx.TensorProto tensor : graph.getInitializerList()) {
      if (tensor.getDataType() != Onnx.TensorProto.DataType.FLOAT.getNumber()) {
        continue;
      }
      String name = tensor.getName();
      if (!name.startsWith(ANONYMOUS)) {
        weights.put(name, values(tensor, where));
      } else if (products.containsKey(name) && tensor.getDimsCount() == 2) {
        weights.put(products.get(name), transposed(values(tensor, where)));
      }
    }
    return weights;
  }

  private static Onnx.ModelProto parse(InputStream in, String where) throws IOException {
    CodedInputStream coded = CodedInputStream.newInstance(in);
    // Older protobufs stop at 64 MiB unless told otherwise.
    coded.setSizeLimit(Integer.MAX_VALUE);
    try {
      return Onnx.ModelProto.parseFrom(coded);
    } catch (InvalidProtocolBufferException e) {
      throw new InvalidInput(
          where, "is not ONNX, or cut short: " + e.getMessage(), "fetch the file again");
    }
  }

  /** From the made-up name of a right factor to the name of the parameter that it was. */
  private static Map<String, String> products(Onnx.GraphProto graph) {
    Map<String, String> names = new HashMap<>();
    for (Onnx.NodeProto node : graph.getNodeList()) {
      String path = node.getName();
      int last = path.lastIndexOf('/');
      if (node.getOpType().equals("MatMul") && node.getInputCount() == 2 && last > 0) {
        String module = path.substring(path.startsWith("/") ? 1 : 0, last).replace('/', '.');
        names.put(node.getInput(1), module + ".weight");
      }
    }
    return names;
  }

  private static Values values(Onnx.TensorProto tensor, String where) {
    String what = where + ": initialiser " + tensor.getName();
    if (tensor.getExternalDataCount() > 0) {
      throw new InvalidInput(
          what, "lies in a file of its own", "export the model into a single file");
    }
    long[] shape = tensor.getDimsList().stream().mapToLong(Long::longValue).toArray();
    long elements = Tensor.elements(shape);
    // Floats lie either packed, as PyTorch writes them, or as a list.
    FloatBuffer packed =
        tensor.getRawData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    int found = packed.remaining() + tensor.getFloatDataCount();
    if (found != elements) {
      throw new InvalidInput(
          what,
          "holds " + found + " floats",
          "its shape " + Arrays.toString(shape) + " needs " + elements + ": fetch the file again");
    }
    float[] data = new float[found];
    packed.get(data, 0, packed.remaining());
    for (int i = 0; i < tensor.getFloatDataCount(); i++) {
      data[i] = tensor.getFloatData(i);
    }
    return new Values(data, shape);
  }

  /** From [in, out] to [out, in]. */
  private static Values transposed(Values stored) {
    int in = (int) stored.shape()[0];
    int out = (int) stored.shape()[1];
    float[] w = new float[in * out];
    for (int i = 0; i < in; i++) {
      for (int o = 0; o < out; o++) {
        w[o * in + i] = stored.data()[i * out + o];
      }
    }
    return new Values(w, out, in);
  }
}
