package dev.kindling.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.checkpoint.StoredTensor;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Counting;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.nd4j.Nd4jBackend;
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
  @CsvSource({"gpt2,false", "gpt2,true", "llama-bf16-sharded,false", "llama-bf16-sharded,true"})
  void loading_pieceByPiece_neverHoldsTwoCopies(String name, boolean asStored) {
    Golden golden = new Golden(name);
    List<WeightSlot> slots = golden.plan.weights(golden.layout);
    Map<WeightSlot, StoredTensor> stored = golden.base.resolve(slots);
    Counting counting = new Counting(Nd4jBackend.open(1));
    try (Backend backend = counting.backend()) {
      FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, asStored);
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
      long largestTurned =
          stored.entrySet().stream()
              .filter(e -> e.getKey().transposed())
              .mapToLong(e -> 4 * e.getValue().elements())
              .max()
              .orElse(0);
      assertThat(weights.bytes()).isEqualTo(counting.held());
      assertThat(peak[0]).isLessThanOrEqualTo(weights.bytes() + largestTurned);
      assertThat(planned(golden, backend, asStored)).isEqualTo(weights.bytes());
    }
  }

  private static void accept(
      FrozenWeights.Loader loader, WeightSlot slot, long from, ByteBuffer bytes, StoredType type) {
    loader.accept(slot, from, bytes.order(java.nio.ByteOrder.LITTLE_ENDIAN), type);
  }

  private static long planned(Golden golden, Backend backend, boolean asStored) {
    Map<WeightSlot, StoredType> types = new LinkedHashMap<>();
    golden
        .base
        .resolve(golden.plan.weights(golden.layout))
        .forEach((slot, tensor) -> types.put(slot, tensor.type()));
    return FrozenWeights.unplaced(backend, types, asStored).bytes();
  }

  @Test
  void finish_slotThatNeverCame_isNamed() {
    try (Backend backend = Nd4jBackend.open(1)) {
      FrozenWeights.Loader loader =
          new FrozenWeights.Loader(backend, List.of(new WeightSlot("gone", true, 2, 2)), false);
      assertThatThrownBy(loader::finish).hasMessageContaining("gone");
    }
  }
}
