package dev.kindling.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.BatchResult;
import dev.kindling.tensor.StoredType;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** One step's sum: the same bits however it is put together, and close to the exact one. */
class GradientSumTest {
  private static final int PARTS = 11;

  /** Four tensors: A and B of one layer, weight and bias of another. */
  private static final AdapterLayout LAYOUT =
      AdapterLayout.of(
          List.of(
              new LinearModule("block.0.query", 5, 7, true, true),
              new LinearModule("classifier", 3, 2, true, false)),
          new AdapterSettings(2, 4, 0, new TargetModules.Blocks(), List.of("classifier")));

  private final Random random = new Random(23);

  private record Part(float[] gradient, BatchResult result) {}

  private List<Part> parts(double scale) {
    List<Part> parts = new ArrayList<>();
    for (int k = 0; k < PARTS; k++) {
      float[] gradient = new float[LAYOUT.elements()];
      for (int i = 0; i < gradient.length; i++) {
        gradient[i] = (float) (random.nextGaussian() * scale * Math.pow(10, -(i % 5)));
      }
      parts.add(
          new Part(gradient, new BatchResult(random.nextDouble(), k % 4, k % 4, k % 2, 10 + k, 1)));
    }
    return parts;
  }

  private static GradientSum empty(int[] exponents) {
    return new GradientSum(LAYOUT, exponents, PARTS);
  }

  private static GradientSum sum(int[] exponents, List<Part> parts) {
    GradientSum sum = empty(exponents);
    parts.forEach(p -> sum.add(p.gradient, p.result));
    return sum;
  }

  private static int[] first() {
    return GradientSum.firstExponents(LAYOUT);
  }

  private static float[] mean(GradientSum sum) {
    float[] mean = new float[LAYOUT.elements()];
    sum.meanGradient(mean);
    return mean;
  }

  /** So many that several threads add them. */
  @Test
  void sum_manyElements_isWhatEachOneIsByItself() {
    AdapterLayout layout =
        AdapterLayout.of(
            List.of(
                new LinearModule("block.0.query", 2048, 2048, true, true),
                new LinearModule("block.0.key", 2048, 2048, true, true)),
            new AdapterSettings(256, 4, 0, new TargetModules.Blocks(), List.of()));
    assertThat(layout.elements()).isEqualTo(1 << 21);
    int[] exponents = GradientSum.firstExponents(layout);
    float[] gradient = new float[layout.elements()];
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] = (float) random.nextGaussian();
    }
    BatchResult result = new BatchResult(1, 1, 2, 0, 3, 4);
    GradientSum one = new GradientSum(layout, exponents, PARTS);
    one.add(gradient, result);
    GradientSum all = new GradientSum(layout, exponents, PARTS);
    all.add(gradient, result);
    all.merge(ByteBuffer.wrap(one.encode()));
    float[] wanted = new float[gradient.length];
    for (int i = 0; i < wanted.length; i++) { // two of them, of two targets each
      wanted[i] = (float) (Math.rint(gradient[i] * 0x1p36) * 0x1p-37);
    }
    float[] mean = new float[gradient.length];
    all.meanGradient(mean);
    assertThat(Arrays.mismatch(mean, wanted)).isEqualTo(-1);
    gradient[1_500_000] = Float.NaN;
    all.add(gradient, result);
    assertThat(all.finite()).isFalse();
  }

  /** Sums of rounded micro-batches are the same whether those travel or what they add up to. */
  @Test
  void sum_roundedParts_anyPartition_hasTheSameBitsAndTravelsInFewerBytes() {
    List<Part> parts = parts(1);
    GradientSum expected = empty(first());
    for (Part part : parts) {
      float[] rounded = part.gradient.clone();
      for (int i = 0; i < rounded.length; i++) {
        rounded[i] = StoredType.BF16.widen(StoredType.BF16.narrow(rounded[i]));
        assertThat(rounded[i])
            .isCloseTo(part.gradient[i], within(Math.abs(part.gradient[i]) / 256));
      }
      expected.add(rounded, part.result);
    }
    for (int trial = 0; trial < 50; trial++) {
      Collections.shuffle(parts, random);
      GradientSum total = empty(first());
      for (int from = 0; from < PARTS; ) {
        int to = from + 1 + random.nextInt(PARTS - from);
        RoundedPart piece = new RoundedPart(empty(first()));
        parts.subList(from, to).forEach(p -> piece.add(p.gradient.clone(), p.result));
        byte[] frame = new byte[piece.encodedBytes()];
        piece.encode(ByteBuffer.wrap(frame));
        int head = total.mostBytes() - 8 * LAYOUT.elements();
        assertThat(frame).hasSize(head + Math.min(8, 2 * (to - from)) * LAYOUT.elements());
        total.merge(ByteBuffer.wrap(frame));
        from = to;
      }
      assertThat(total.encode()).isEqualTo(expected.encode());
    }
  }

  /** A half that does not learn costs nothing on the way, and neither does what nobody has. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void encode_parameterWithoutGradient_staysAtHome(boolean rounds) {
    int ofA = LAYOUT.parameters().get(0).elements();
    List<Part> parts = parts(1);
    parts.forEach(p -> Arrays.fill(p.gradient, 0, ofA, rounds ? -0f : 0f));
    GradientSum some = empty(first());
    RoundedPart rounded = new RoundedPart(some);
    for (Part part : parts.subList(0, 2)) {
      if (rounds) {
        rounded.add(part.gradient, part.result);
      } else {
        some.add(part.gradient, part.result);
      }
    }
    ByteBuffer frame = ByteBuffer.allocate(rounds ? rounded.encodedBytes() : some.encodedBytes());
    if (rounds) {
      rounded.encode(frame);
    } else {
      some.encode(frame);
    }
    int each = rounds ? 2 * 2 : 8;
    int head = some.mostBytes() - 8 * LAYOUT.elements();
    assertThat(frame.position()).isEqualTo(head + each * (LAYOUT.elements() - ofA));
    GradientSum total = empty(first());
    total.merge(frame.flip());
    total.merge(ByteBuffer.wrap(empty(first()).encode())); // a task without a batch
    assertThat(total.encode()).isEqualTo(some.encode());
    assertThat(mean(total)).startsWith(new float[ofA]).isEqualTo(mean(some));
  }

  @Test
  void sum_anyOrderAndPartition_hasTheSameBits() {
    List<Part> parts = parts(1);
    byte[] expected = sum(first(), parts).encode();
    for (int trial = 0; trial < 50; trial++) {
      Collections.shuffle(parts, random);
      GradientSum total = empty(first());
      for (int from = 0; from < PARTS; ) {
        int to = from + 1 + random.nextInt(PARTS - from);
        GradientSum piece = sum(first(), parts.subList(from, to));
        if (random.nextBoolean()) {
          total.merge(piece);
        } else {
          total.merge(ByteBuffer.wrap(piece.encode()));
        }
        from = to;
      }
      assertThat(total.encode()).isEqualTo(expected);
    }
  }

  @Test
  void result_allParts_countsAndLossesAdd() {
    List<Part> parts = parts(1);
    Totals result = sum(first(), parts).totals();
    assertThat(result.targets()).isEqualTo(parts.stream().mapToLong(p -> p.result.targets()).sum());
    assertThat(result.accuracy() * result.targets()).isCloseTo(5, within(1e-9));
    assertThat(result.tokens()).isEqualTo(165);
    double loss = parts.stream().mapToDouble(p -> p.result.loss()).sum();
    assertThat(Math.abs(result.meanLoss() * result.targets() - loss))
        .isLessThan(PARTS * 0x1p-25 + 1e-12);
  }

  @ParameterizedTest
  @ValueSource(doubles = {1e-30, 1e-6, 1, 1e5, 1e30})
  void meanGradient_onceExponentsFollow_isWithinTheStatedBound(double scale) {
    List<Part> parts = parts(scale);
    GradientSum sum = sum(first(), parts);
    GradientSum again = sum(sum.nextExponents(), parts);
    assertThat(again.fits()).isTrue();
    float[] mean = mean(again);
    long targets = again.totals().targets();
    for (var p : LAYOUT.parameters()) {
      double largest = 0;
      for (Part part : parts) {
        for (int i = p.offset(); i < p.offset() + p.elements(); i++) {
          largest = Math.max(largest, Math.abs(part.gradient[i]));
        }
      }
      for (int i = p.offset(); i < p.offset() + p.elements(); i++) {
        BigDecimal exact = BigDecimal.ZERO;
        for (Part part : parts) {
          exact = exact.add(new BigDecimal(part.gradient[i]));
        }
        double wanted = exact.doubleValue() / targets;
        double bound = PARTS * 0x1p-44 * largest / targets + Math.ulp((float) wanted);
        assertThat(Math.abs(mean[i] - wanted)).isLessThanOrEqualTo(bound);
      }
    }
  }

  /** The verdict is a property of the data: neither the order nor who saw the culprit matters. */
  @ParameterizedTest
  @ValueSource(floats = {1e9f, 1e30f, Float.MAX_VALUE})
  void fits_oneHugeElement_isDetectedInAnyOrder(float huge) {
    List<Part> parts = parts(1);
    parts.get(3).gradient[LAYOUT.elements() - 1] = -huge;
    int[] next = null;
    for (int trial = 0; trial < 10; trial++) {
      Collections.shuffle(parts, random);
      GradientSum whole = sum(first(), parts.subList(0, 4));
      whole.merge(ByteBuffer.wrap(sum(first(), parts.subList(4, PARTS)).encode()));
      assertThat(whole.fits()).isFalse();
      assertThat(whole.finite()).isTrue();
      assertThat(next == null || Arrays.equals(next, whole.nextExponents())).isTrue();
      next = whole.nextExponents();
      assertThat(sum(next, parts).fits()).isTrue();
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {1e-4, 1e-20, 1e-38, 1e-44})
  void fits_gradientsTooSmallForTheExponents_isFalseUntilTheyFollow(double scale) {
    List<Part> parts = parts(scale);
    GradientSum coarse = sum(first(), parts);
    assertThat(coarse.fits()).isFalse();
    assertThat(sum(coarse.nextExponents(), parts).fits()).isTrue();
  }

  @Test
  void fits_allZero_isTrueAndKeepsTheExponents() {
    GradientSum zero = sum(first(), List.of(new Part(new float[LAYOUT.elements()], one())));
    assertThat(zero.fits()).isTrue();
    assertThat(zero.nextExponents()).isEqualTo(first());
    assertThat(mean(zero)).containsOnly(0f);
  }

  private static BatchResult one() {
    return new BatchResult(0.5, 1, 1, 1, 1, 1);
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
  void finite_oneBadElement_isFalseThroughMergeAndEncoding(float bad) {
    List<Part> parts = parts(1);
    parts.get(7).gradient[13] = bad;
    assertThat(sum(first(), parts).finite()).isFalse();
    GradientSum merged = sum(first(), parts.subList(0, 5));
    assertThat(merged.finite()).isTrue();
    merged.merge(ByteBuffer.wrap(sum(first(), parts.subList(5, PARTS)).encode()));
    assertThat(merged.finite()).isFalse();
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
  void finite_badLoss_isFalse(double loss) {
    GradientSum sum = empty(first());
    sum.add(new float[LAYOUT.elements()], new BatchResult(loss, 1, 1, 0, 1, 1));
    assertThat(sum.finite()).isFalse();
  }

  /** All parts at the largest value: the worst case of the overflow rule, computed as if summed. */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 1023, 1 << 20, 1L << 34})
  void nextExponents_hugeNumberOfParts_leavesRoomForAll(long parts) {
    float[] gradient = new float[LAYOUT.elements()];
    Arrays.fill(gradient, 1.9999999f);
    GradientSum sum = new GradientSum(LAYOUT, first(), parts);
    sum.add(gradient, one());
    int[] next = sum.nextExponents();
    GradientSum again = new GradientSum(LAYOUT, next, parts);
    again.add(gradient, one());
    assertThat(again.fits()).isTrue();
    assertThat(Math.scalb(2.0, next[0]) * parts).isLessThanOrEqualTo(0x1p62);
  }

  @Test
  void merge_frameOfAnotherLayout_isRefused() {
    assertThatThrownBy(() -> empty(first()).merge(ByteBuffer.allocate(40)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("40 bytes")
        .hasMessageContaining("expected " + empty(first()).mostBytes());
  }
}
