package dev.kindling.tensor.onednn;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.Arena;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.FrozenMatrix.Use;
import dev.kindling.tensor.Precision;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which matrices are held three times. */
class PackedMatrixTest {
  @ParameterizedTest
  @CsvSource({
    "1024,4096,LAYER,true",
    "100,30,LAYER,true",
    "100,30,TABLE,false",
    "32000,4096,HEAD,true"
  })
  void freeze_inBf16_arrangesHeadsAndLayers(int out, int in, Use use, boolean packs) {
    try (OneDnnBackend backend = new OneDnnBackend(Precision.BF16, 1)) {
      FrozenMatrix w = backend.freeze(Arena.unplaced(DType.BF16, out, in), use);
      long padded = (out + 63L) / 64 * 64 * ((in + 63L) / 64 * 64);
      assertThat(w.packedBytes()).isEqualTo(packs ? 2 * 2 * padded : 0);
      assertThat(w.bytes() - w.packedBytes()).isEqualTo(2L * out * in);
    }
  }

  @Test
  void freeze_inFp32_arrangesNothing() {
    try (OneDnnBackend backend = new OneDnnBackend(Precision.FP32, 1)) {
      FrozenMatrix w = backend.freeze(Arena.unplaced(DType.F32, 100, 30), Use.HEAD);
      assertThat(w.packedBytes()).isZero();
    }
  }
}
