package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.checkpoint.WeightSlot.Use;
import dev.kindling.data.TokenBatch;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.SlowCodes;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import dev.kindling.tensor.onednn.InstructionSet;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Models over codes are those over the numbers that the codes stand for. */
class CodedBaseTest {
  private static float[] gradient(
      Golden golden, Backend backend, FrozenWeights weights, double[] loss) {
    float[] gradient = new float[golden.layout.elements()];
    try (weights;
        Model model = golden.plan.build(backend, weights, golden.layout, false)) {
      model.load(golden.adapter.values(golden.layout));
      TokenBatch batch = TokenBatch.of(golden.batch(0), golden.plan.rules());
      BatchResult result = model.gradient(batch, gradient);
      loss[0] = result.loss() / result.targets();
    }
    return gradient;
  }

  /** The blocks' matrices rounded in the order that the file has them in. */
  private static FrozenWeights rounded(Golden golden, Backend backend, Storage storage) {
    List<WeightSlot> slots = golden.plan.weights(golden.layout);
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, Storage.FP32);
    for (Map.Entry<WeightSlot, StoredTensor> e : golden.base.resolve(slots).entrySet()) {
      float[] values = e.getValue().floats();
      double[] wide = new double[values.length];
      for (int i = 0; i < wide.length; i++) {
        wide[i] = values[i];
      }
      double[] kept = e.getKey().use() == Use.BLOCK ? SlowCodes.rounded(wide, storage) : wide;
      ByteBuffer bytes =
          ByteBuffer.allocate(Float.BYTES * kept.length).order(ByteOrder.LITTLE_ENDIAN);
      for (double value : kept) {
        bytes.putFloat((float) value);
      }
      loader.accept(e.getKey(), 0, bytes.flip(), StoredType.F32);
    }
    return loader.finish();
  }

  @ParameterizedTest
  @CsvSource({
    "bert,NF4,nd4j",
    "gpt2,NF4,nd4j",
    "llama-gqa,NF4,onednn",
    "gpt2,INT8,onednn",
    "llama-bf16-sharded,NF4,onednn",
    "llama-tied-table-head,INT8,nd4j"
  })
  void gradient_overCodes_isThatOverTheirValues(String name, Storage storage, String engine) {
    Golden golden = new Golden(name);
    try (Backend backend =
        engine.equals("nd4j") ? Nd4jBackend.open(1) : new OneDnnBackend(Precision.FP32, 1)) {
      double[] expected = new double[1];
      double[] found = new double[1];
      double[] full = new double[1];
      float[] wanted = gradient(golden, backend, rounded(golden, backend, storage), expected);
      float[] ours = gradient(golden, backend, golden.weights(backend, storage), found);
      gradient(golden, backend, golden.weights(backend), full);
      assertThat(found[0]).isCloseTo(expected[0], offset(1e-6 * expected[0]));
      assertThat(full[0]).isNotEqualTo(found[0]);
      float largest = 0;
      for (float g : wanted) {
        largest = Math.max(largest, Math.abs(g));
      }
      assertThat(ours).containsExactly(wanted, offset(1e-5f * largest));
    }
  }

  /** Activations and operands in bf16, the decoded pieces too. */
  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "gpt2", "bert"})
  void loss_overCodesInBf16_isNearThatInFp32(String name) {
    assumeTrue(InstructionSet.multipliesBf16());
    Golden golden = new Golden(name);
    double[] fp32 = new double[1];
    double[] bf16 = new double[1];
    try (Backend wide = new OneDnnBackend(Precision.FP32, 1);
        Backend half = new OneDnnBackend(Precision.BF16, 1)) {
      gradient(golden, wide, golden.weights(wide, Storage.NF4), fp32);
      gradient(golden, half, golden.weights(half, Storage.NF4), bf16);
      assertThat(bf16[0]).isCloseTo(fp32[0], offset(2e-2));
    }
  }
}
