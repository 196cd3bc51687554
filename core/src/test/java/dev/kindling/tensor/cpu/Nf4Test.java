package dev.kindling.tensor.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.SlowCodes;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CodedMatrix.Side;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Codes of frozen weights against the definition of NF4 with double quantisation, and of int8. */
class Nf4Test {
  private static final int MANY = 1 << 18;

  private static float[] gaussian(int n) {
    Random random = new Random(5);
    float[] w = new float[n];
    for (int i = 0; i < n; i++) {
      w[i] = (float) random.nextGaussian();
    }
    return w;
  }

  /** What a block of codes gives back, its scale known exactly. */
  private static float[] block(Coding coding, float scale, float... w) {
    byte[] packed = new byte[w.length];
    coding.encode(w, 0, w.length, scale, packed, 0);
    byte[] codes = new byte[w.length];
    coding.unpack(packed, 0, w.length, codes);
    float[] back = new float[w.length];
    coding.decode(codes, 0, w.length, scale, back);
    return back;
  }

  /** What a whole matrix gives back, its scales rounded too. */
  private static float[] matrix(Storage storage, int out, int in, float[] w) {
    Tensor loaded = CpuMemory.allocate(DType.F32, out, in);
    CpuMemory.floats(loaded).put(0, w);
    try (Workers workers = new Workers(2)) {
      CodedMatrix matrix = new CodedMatrix(storage, false, out, in, DType.F32);
      matrix.code(loaded, workers);
      CpuMemory.zero(loaded);
      Decoder decoder = new Decoder(workers);
      for (int from = 0; from < out; from += matrix.step(Side.OUT)) {
        CodedMatrix.Piece piece = matrix.piece(Side.OUT, from);
        decoder.decode(piece, loaded.slice((long) from * in, piece.count(), in));
      }
      float[] back = new float[w.length];
      CpuMemory.floats(loaded).get(0, back);
      matrix.release();
      return back;
    } finally {
      CpuMemory.free(loaded);
    }
  }

  /** Rows of no whole number of blocks, and a last block that is short. */
  @ParameterizedTest
  @EnumSource(names = {"NF4", "INT8"})
  void rounded_areWhatAMatrixOfCodesGivesBack(Storage storage) {
    float[] w = gaussian(7 * 45);
    assertThat(HostCodes.rounded(storage, w)).isEqualTo(matrix(storage, 7, 45, w));
  }

  /** Quantiles of a normal distribution, by the rule that bitsandbytes' numbers come from. */
  @Test
  void levels_areQuantilesOfANormalDistribution() {
    double most = quantile(0.9677083);
    for (int i = 0; i < 8; i++) {
      double share = 0.9677083 + (0.5 - 0.9677083) * i / 8;
      assertThat((double) Nf4.LEVELS.of(15 - i)).isCloseTo(quantile(share) / most, offset(1e-6));
    }
    for (int i = 0; i < 7; i++) {
      double share = 0.9677083 + (0.5 - 0.9677083) * i / 7;
      assertThat((double) Nf4.LEVELS.of(i)).isCloseTo(-quantile(share) / most, offset(1e-6));
    }
    for (int code = 0; code < 16; code++) {
      assertThat(Nf4.LEVELS.of(code)).isEqualTo((float) SlowCodes.nf4()[code]);
    }
  }

  /** By bisection of the integral of the density (Simpson). */
  private static double quantile(double share) {
    double low = 0;
    double high = 4;
    for (int i = 0; i < 50; i++) {
      double middle = (low + high) / 2;
      if (0.5 + area(middle) < share) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }

  private static double area(double x) {
    int n = 2000;
    double sum = 0;
    for (int i = 0; i <= n; i++) {
      double t = x * i / n;
      double weight = i == 0 || i == n ? 1 : i % 2 == 1 ? 4 : 2;
      sum += weight * Math.exp(-t * t / 2);
    }
    return sum * x / n / 3 / Math.sqrt(2 * Math.PI);
  }

  @Test
  void code_halfwayBetweenLevels_isTheLower() {
    for (int code = 0; code < 15; code++) {
      float middle = (Nf4.LEVELS.of(code) + Nf4.LEVELS.of(code + 1)) / 2;
      assertThat(Nf4.LEVELS.code(middle)).isEqualTo(code);
      assertThat(Nf4.LEVELS.code(Math.nextUp(middle))).isEqualTo(code + 1);
      assertThat(Nf4.LEVELS.code(Nf4.LEVELS.of(code))).isEqualTo(code);
    }
    assertThat(Nf4.LEVELS.code(1)).isEqualTo(15);
  }

  /** The element with the even index is in the upper half, whatever the first one decoded is. */
  @Test
  void bytes_all256_unpackInOrderFromAnyElementOn() {
    byte[] codes = new byte[256];
    float[] expected = new float[512];
    for (int b = 0; b < 256; b++) {
      codes[b] = (byte) b;
      expected[2 * b] = Nf4.LEVELS.of(b >> 4);
      expected[2 * b + 1] = Nf4.LEVELS.of(b & 15);
    }
    Nf4 nf4 = new Nf4();
    byte[] spread = new byte[512];
    float[] back = new float[512];
    nf4.unpack(codes, 0, 512, spread);
    nf4.decode(spread, 0, 512, 1, back);
    assertThat(back).isEqualTo(expected);
    byte[] again = new byte[256];
    nf4.encode(back, 0, 512, 1, again, 0);
    assertThat(again).isEqualTo(codes);
    short[] half = new short[512];
    for (int first : new int[] {1, 3, 510, 511}) {
      int count = Math.min(508, 512 - first);
      nf4.unpack(codes, first, count, spread);
      nf4.decode(spread, 0, count, 1, back);
      nf4.decode(spread, 0, count, 1, half);
      for (int i = 0; i < count; i++) {
        assertThat(back[i]).isEqualTo(expected[first + i]);
        assertThat(half[i]).isEqualTo(StoredType.BF16.narrow(expected[first + i]));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"NF4", "INT8"})
  void block_ofAnyValues_isWithinItsBoundExactAtItsLargestAndRoundedOnce(Storage storage) {
    double bound = storage == Storage.NF4 ? 0.15190361 : 0.5 / 127;
    Coding coding = Coding.of(storage);
    float[] all = gaussian(64 * 500);
    for (int from = 0; from < all.length; from += 64) {
      float[] w = Arrays.copyOfRange(all, from, from + 64);
      float scale = 0;
      for (float value : w) {
        scale = Math.max(scale, Math.abs(value));
      }
      float[] back = block(coding, scale, w);
      for (int i = 0; i < 64; i++) {
        assertThat((double) Math.abs(back[i] - w[i])).isLessThanOrEqualTo(bound * scale * 1.000001);
        if (Math.abs(w[i]) == scale && storage == Storage.NF4) {
          assertThat(back[i]).isEqualTo(w[i]);
        }
      }
      assertThat(block(coding, scale, back)).isEqualTo(back);
    }
  }

  @ParameterizedTest
  @CsvSource({"NF4,1,64", "INT8,1,64", "NF4,3,7", "INT8,1,200"})
  void matrix_ofZeros_isZeros(Storage storage, int out, int in) {
    assertThat(matrix(storage, out, in, new float[out * in])).containsOnly(0f);
    float[] some = gaussian(out * in);
    Arrays.fill(some, 0, Math.min(64, some.length), 0f);
    float[] back = matrix(storage, out, in, some);
    for (int i = 0; i < Math.min(64, some.length); i++) {
      assertThat(Math.abs(back[i])).isZero();
    }
  }

  /** Rows that cross blocks, a last block that is not whole, groups of scales that are not. */
  @ParameterizedTest
  @CsvSource({
    "NF4,1,1",
    "NF4,5,7",
    "NF4,1,64",
    "NF4,3,65",
    "NF4,131,257",
    "INT8,5,7",
    "INT8,131,257",
    "NF4,1100,1500"
  })
  void matrix_ofAnySize_isWhatTheDefinitionSays(Storage storage, int out, int in) {
    float[] w = gaussian(out * in);
    double[] wide = new double[w.length];
    for (int i = 0; i < w.length; i++) {
      wide[i] = w[i];
    }
    double[] expected = SlowCodes.rounded(wide, storage);
    float[] found = matrix(storage, out, in, w);
    for (int i = 0; i < w.length; i++) {
      assertThat((double) found[i]).as("element %d", i).isCloseTo(expected[i], offset(2e-6));
    }
  }

  /** Of N(0, 1): 0.0920 (methods.md, B1), and 0.0063. */
  @ParameterizedTest
  @CsvSource({"NF4,0.0920,0.0005", "INT8,0.0063,0.0003"})
  void matrix_ofNormalWeights_hasTheErrorThatIsPromised(
      Storage storage, double error, double tolerance) {
    float[] w = gaussian(MANY);
    float[] back = matrix(storage, 512, MANY / 512, w);
    double off = 0;
    double all = 0;
    for (int i = 0; i < MANY; i++) {
      off += Math.pow(back[i] - w[i], 2);
      all += Math.pow(w[i], 2);
    }
    assertThat(Math.sqrt(off / all)).isCloseTo(error, offset(tolerance));
  }

  /** 4 + 8/64 + 32/(64 · 256), and 4 bytes for the mean. */
  @Test
  void bytes_ofALargeMatrix_are4Point127BitsAnElement() {
    CodedMatrix matrix = new CodedMatrix(Storage.NF4, false, 2048, 5632, DType.F32);
    double bits = 8.0 * matrix.bytes() / (2048.0 * 5632);
    assertThat(bits).isCloseTo(4.127, offset(0.0005));
    CodedMatrix wider = new CodedMatrix(Storage.INT8, false, 2048, 5632, DType.F32);
    assertThat(8.0 * wider.bytes() / (2048.0 * 5632)).isCloseTo(8.127, offset(0.0005));
  }

  /** What is promised is what is held. */
  @ParameterizedTest
  @ValueSource(ints = {1, 63, 64, 65, 16_384, 16_385, 100_003})
  void bytes_ofAnySize_areWhatIsHeld(int elements) {
    Tensor loaded = CpuMemory.allocate(DType.F32, 1, elements);
    try (Workers workers = new Workers(1)) {
      CodedMatrix matrix = new CodedMatrix(Storage.NF4, false, 1, elements, DType.F32);
      long before = CpuMemory.heldBytes();
      matrix.code(loaded, workers);
      long held = CpuMemory.heldBytes() - before;
      assertThat(held).isEqualTo(matrix.bytes() - Float.BYTES); // the mean is a field
      matrix.release();
      assertThat(CpuMemory.heldBytes()).isEqualTo(before);
    } finally {
      CpuMemory.free(loaded);
    }
  }

  @Test
  void dynamicMap_allLevels_areThoseOfItsDefinition() {
    double[] expected = SlowCodes.dynamicMap();
    assertThat(expected).hasSize(256);
    for (int code = 0; code < 256; code++) {
      float level = DynamicMap.LEVELS.of(code);
      assertThat((double) level).isCloseTo(expected[code], offset(1e-7));
      assertThat(DynamicMap.LEVELS.code(level)).isEqualTo(code);
    }
    assertThat(DynamicMap.LEVELS.of(0)).isEqualTo(-0.99296874f);
    assertThat(DynamicMap.LEVELS.of(255)).isEqualTo(1f);
  }
}
