package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Counting;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.nd4j.Nd4jBackend;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Weights on their way into memory: never two copies of more than one tensor. */
class FrozenWeightsTest {
  /** GPT-2's layers are stored turned: one at a time is held as it is stored and as it is used. */
  @ParameterizedTest
  @CsvSource({
    "gpt2,FP32",
    "gpt2,AS_STORED",
    "gpt2,NF4",
    "llama-bf16-sharded,FP32",
    "llama-bf16-sharded,AS_STORED",
    "llama-bf16-sharded,INT8"
  })
  void loading_pieceByPiece_neverHoldsTwoCopies(String name, Storage storage) {
    Golden golden = new Golden(name);
    List<WeightSlot> slots = golden.plan.weights(golden.layout);
    Map<WeightSlot, StoredTensor> stored = golden.base.resolve(slots);
    Counting counting = new Counting(Nd4jBackend.open(1));
    try (Backend backend = counting.backend()) {
      FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, storage);
      long[] peak = {0};
      golden.base.stream(
          slots,
          (slot, from, bytes, type) -> {
            int half = bytes.remaining() / 2 / type.bytes() * type.bytes();
            accept(loader, slot, from, bytes.duplicate().limit(half), type);
            peak[0] = Math.max(peak[0], counting.held());
            long second = from + half / type.bytes();
            accept(loader, slot, second, bytes.duplicate().position(half), type);
          });
      FrozenWeights weights = loader.finish();
      long staged =
          stored.entrySet().stream()
              .filter(e -> e.getKey().transposed() || coded(e.getKey(), storage))
              .mapToLong(e -> 4 * e.getValue().elements())
              .max()
              .orElse(0);
      Map<WeightSlot, StoredType> types = new LinkedHashMap<>();
      stored.forEach((slot, tensor) -> types.put(slot, tensor.type()));
      Map<WeightSlot, StoredType> others = new LinkedHashMap<>(types);
      others.keySet().removeIf(slot -> coded(slot, storage)); // whose memory is their own
      assertThat(FrozenWeights.unplaced(backend, others, storage).bytes())
          .isEqualTo(counting.held());
      assertThat(peak[0]).isLessThanOrEqualTo(counting.held() + staged);
      assertThat(FrozenWeights.loadingBytes(backend, types, storage)).isEqualTo(staged);
      assertThat(FrozenWeights.unplaced(backend, types, storage).bytes())
          .isEqualTo(weights.bytes());
      assertThat(weights.bytes()).isGreaterThanOrEqualTo(counting.held());
      weights.close();
      assertThat(counting.held()).isZero();
    }
  }

  private static void accept(
      FrozenWeights.Loader loader, WeightSlot slot, long from, ByteBuffer bytes, StoredType type) {
    loader.accept(slot, from, bytes.order(java.nio.ByteOrder.LITTLE_ENDIAN), type);
  }

  private static boolean coded(WeightSlot slot, Storage storage) {
    return storage.coded() && slot.use() == WeightSlot.Use.BLOCK;
  }

  /** 2²⁹ elements of layers are held three times in bf16, one more row of them once. */
  @ParameterizedTest
  @CsvSource({"16384,true", "16385,false"})
  void unplaced_inBf16_copiesTheLayersOfSmallModelsAlone(long out, boolean packs) {
    WeightSlot half = new WeightSlot("first", WeightSlot.Use.BLOCK, false, 16384, 16384);
    WeightSlot other = new WeightSlot("second", WeightSlot.Use.BLOCK, false, out, 16384);
    try (Backend backend = new OneDnnBackend(Precision.BF16, 1)) {
      Map<WeightSlot, StoredType> stored = Map.of(half, StoredType.BF16, other, StoredType.BF16);
      FrozenWeights weights = FrozenWeights.unplaced(backend, stored, Storage.FP32);
      assertThat(weights.packedBytes()).isEqualTo(packs ? 4L << 29 : 0);
    }
  }

  @Test
  void finish_slotThatNeverCame_isNamed() {
    try (Backend backend = Nd4jBackend.open(1)) {
      FrozenWeights.Loader loader =
          new FrozenWeights.Loader(
              backend, List.of(new WeightSlot("gone", true, 2, 2)), Storage.FP32);
      assertThatThrownBy(loader::finish).hasMessageContaining("gone");
    }
  }
}
