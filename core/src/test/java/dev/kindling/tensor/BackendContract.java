package dev.kindling.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.withinPercentage;
import static org.assertj.core.data.Offset.offset;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What every backend owes: each operation equals the float64 reference on awkward sizes (one,
 * primes, padding), to a share of the largest value that depends on the result's type. The
 * reference gets the very values that the backend gets: those of activations are rounded to its
 * active type.
 */
public abstract class BackendContract {
  /** fp32 rounding over sums of at most a few hundred terms. */
  private static final double TOLERANCE = 5e-6;

  /**
   * bf16 has eight bits: half of the last is 2e-3 of a value. Where an operation rounds in between
   * (probabilities, a SwiGLU's two factors) several such errors add up.
   */
  private static final double HALF_WIDTH_TOLERANCE = 1.2e-2;

  private final Backend reference = new ReferenceBackend();
  private Backend backend;
  private Random random;

  /** The backend under test. */
  protected abstract Backend open();

  @BeforeEach
  void start() {
    backend = open();
    random = new Random(17);
  }

  @AfterEach
  void stop() {
    if (backend != null) { // else there is no device to test
      backend.close();
    }
  }

  /** The same values under test and in the reference. */
  private record Twin(Tensor ours, Tensor theirs) {}

  /** Random values of the active type. */
  private Twin filled(double scale, long... shape) {
    return filled(backend.active(), scale, shape);
  }

  private Twin real(double scale, long... shape) {
    return filled(backend.real(), scale, shape);
  }

  private Twin filled(DType type, double scale, long... shape) {
    float[] values = new float[(int) Tensor.elements(shape)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (random.nextGaussian() * scale);
    }
    Twin twin = empty(type, shape);
    backend.write(twin.ours, 0, values, 0, values.length);
    backend.read(twin.ours, values); // as rounded
    reference.write(twin.theirs, 0, values, 0, values.length);
    return twin;
  }

  private Twin empty(long... shape) {
    return empty(backend.active(), shape);
  }

  private Twin empty(DType type, long... shape) {
    return new Twin(backend.allocate(type, shape), reference.allocate(DType.F64, shape));
  }

  /** The values of ours for the reference too: what comes next is judged by itself. */
  private void adopt(Twin twin) {
    float[] values = new float[(int) twin.ours.elements()];
    backend.read(twin.ours, values);
    reference.write(twin.theirs, 0, values, 0, values.length);
  }

  private Twin integers(int... values) {
    Twin twin =
        new Twin(
            backend.allocate(DType.I32, values.length),
            reference.allocate(DType.I32, values.length));
    backend.write(twin.ours, values);
    reference.write(twin.theirs, values);
    return twin;
  }

  /** How far results of this type may be off, as a share of the largest. */
  protected double tolerance(DType type) {
    return type == DType.BF16 ? HALF_WIDTH_TOLERANCE : TOLERANCE;
  }

  private void same(Twin twin) {
    same(twin, tolerance(twin.ours.type()));
  }

  private void same(Twin twin, double tolerance) {
    double[] expected = ReferenceBackend.values(twin.theirs);
    float[] found = new float[expected.length];
    backend.read(twin.ours, found);
    double largest = 1e-3;
    for (double e : expected) {
      largest = Math.max(largest, Math.abs(e));
    }
    for (int i = 0; i < expected.length; i++) {
      assertThat((double) found[i])
          .as("element %d of %s", i, twin.ours)
          .isCloseTo(expected[i], org.assertj.core.data.Offset.offset(tolerance * largest));
    }
  }

  @ParameterizedTest
  @CsvSource({"1,1,1", "1,7,5", "13,1,3", "7,11,1", "17,31,23", "64,129,33", "67,131,1003"})
  void matmul_anyTranspositionAndScale_equalsReference(int rows, int inner, int columns) {
    for (int flags = 0; flags < 4; flags++) {
      boolean ta = (flags & 1) != 0;
      boolean tb = (flags & 2) != 0;
      Twin a = ta ? filled(1, inner, rows) : filled(1, rows, inner);
      Twin b = tb ? filled(1, columns, inner) : filled(1, inner, columns);
      for (Twin c : List.of(filled(1, rows, columns), real(1, rows, columns))) {
        for (double beta : new double[] {0, 1, 0.5}) {
          backend.matmul(a.ours, ta, b.ours, tb, 1.5, beta, c.ours);
          reference.matmul(a.theirs, ta, b.theirs, tb, 1.5, beta, c.theirs);
          same(c);
        }
      }
    }
  }

  @Test
  void matmul_shapesThatDoNotFit_areRefusedByName() {
    Twin a = empty(2, 3);
    assertThatThrownBy(() -> backend.matmul(a.ours, false, a.ours, false, 1, 0, a.ours))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("[2, 3]");
  }

  @ParameterizedTest
  @CsvSource({
    "1,1,1,LAYER",
    "5,7,3,LAYER",
    "5,7,3,TABLE",
    "19,16,37,LAYER",
    "19,16,37,TABLE",
    "1,1,1,HEAD",
    "5,7,3,HEAD",
    "19,16,37,HEAD",
    "131,64,1003,HEAD",
    "131,64,1003,LAYER",
    "67,1003,131,LAYER",
    "67,1003,136,LAYER",
    "67,131,136,LAYER"
  })
  void linear_forwardAndBackward_equalReference(int n, int in, int out, FrozenMatrix.Use use) {
    Twin x = filled(1, n, in);
    Twin w = filled(1, out, in);
    Twin bias = real(1, out);
    Twin y = empty(n, out);
    FrozenMatrix ours = backend.freeze(w.ours, use);
    FrozenMatrix theirs = reference.freeze(w.theirs);
    assertThat(ours.in()).isEqualTo(in);
    assertThat(ours.out()).isEqualTo(out);
    backend.linear(x.ours, ours, bias.ours, y.ours, false);
    reference.linear(x.theirs, theirs, bias.theirs, y.theirs, false);
    same(y);
    backend.linear(x.ours, ours, null, y.ours, false);
    reference.linear(x.theirs, theirs, null, y.theirs, false);
    same(y);
    backend.linear(x.ours, ours, bias.ours, y.ours, true);
    reference.linear(x.theirs, theirs, bias.theirs, y.theirs, true);
    same(y);
    for (int r : new int[] {1, Math.min(in, out)}) {
      mergedAlike(ours, theirs, r);
    }
    Twin logits = real(1, n, out);
    backend.linear(x.ours, ours, bias.ours, logits.ours, false);
    reference.linear(x.theirs, theirs, bias.theirs, logits.theirs, false);
    same(logits);
    adopt(y);
    Twin dx = filled(1, n, in);
    for (boolean accumulate : new boolean[] {true, false}) {
      backend.linearBackward(y.ours, ours, dx.ours, accumulate);
      reference.linearBackward(y.theirs, theirs, dx.theirs, accumulate);
      same(dx);
    }
    ours.release();
  }

  /** Lengths of the rows of a changed weight by their parts, and straight from what is merged. */
  @ParameterizedTest
  @CsvSource({"1,1,1", "5,3,2", "37,19,11", "129,64,33"})
  void rowLengths_ofAPairBesideAWeight_areThoseOfTheMergedOne(int out, int in, int r) {
    Twin w = filled(1, out, in);
    Twin a = filled(1, r, in);
    Twin b = filled(1, out, r);
    FrozenMatrix ours = backend.freeze(w.ours);
    FrozenMatrix theirs = reference.freeze(w.theirs);
    Twin squares = empty(backend.real(), out);
    backend.rowSquares(ours, squares.ours);
    reference.rowSquares(theirs, squares.theirs);
    same(squares, TOLERANCE);
    Twin projected = real(1, r, out);
    Twin gram = real(0.1, out, r);
    Twin lengths = empty(backend.real(), out);
    backend.rowLengths(squares.ours, projected.ours, b.ours, gram.ours, 0.01, lengths.ours);
    reference.rowLengths(
        squares.theirs, projected.theirs, b.theirs, gram.theirs, 0.01, lengths.theirs);
    same(lengths, TOLERANCE);

    reference.linear(a.theirs, theirs, null, projected.theirs, false);
    Twin square = empty(backend.real(), r, r);
    reference.matmul(a.theirs, false, a.theirs, true, 1, 0, square.theirs);
    reference.matmul(b.theirs, false, square.theirs, false, 1, 0, gram.theirs);
    reference.rowLengths(
        squares.theirs, projected.theirs, b.theirs, gram.theirs, 0.5, lengths.theirs);
    Tensor merged = reference.allocate(DType.F64, out, in);
    reference.merge(theirs, b.theirs, a.theirs, 0.5, merged);
    double[] values = ReferenceBackend.values(merged);
    double[] found = ReferenceBackend.values(lengths.theirs);
    for (int row = 0; row < out; row++) {
      double sum = 0;
      for (int c = 0; c < in; c++) {
        sum += values[row * in + c] * values[row * in + c];
      }
      assertThat(found[row]).isCloseTo(Math.sqrt(sum), offset(1e-9));
    }
  }

  @ParameterizedTest
  @CsvSource({"1,1", "7,5", "131,67"})
  void columns_scaledAndMultiplied_equalReference(int n, int d) {
    Twin x = filled(1, n, d);
    Twin z = filled(1, n, d);
    Twin by = real(1, d);
    Twin bias = real(1, d);
    Twin over = empty(backend.real(), d);
    float[] lengths = new float[d];
    for (int i = 0; i < d; i++) {
      lengths[i] = 0.5f + i;
    }
    backend.write(over.ours, 0, lengths, 0, d);
    adopt(over);
    Twin into = real(1, d);
    for (boolean accumulate : new boolean[] {true, false}) {
      backend.dotColumns(x.ours, z.ours, over.ours, into.ours, accumulate);
      reference.dotColumns(x.theirs, z.theirs, over.theirs, into.theirs, accumulate);
      same(into, TOLERANCE);
    }
    Twin y = empty(n, d);
    backend.scaleColumns(x.ours, by.ours, over.ours, bias.ours, y.ours);
    reference.scaleColumns(x.theirs, by.theirs, over.theirs, bias.theirs, y.theirs);
    same(y);
    backend.scaleColumns(x.ours, by.ours, over.ours, null, x.ours);
    reference.scaleColumns(x.theirs, by.theirs, over.theirs, null, x.theirs);
    same(x);

    Twin logits = real(1, n, d); // of a layer that gives some
    adopt(x);
    backend.dotColumns(x.ours, logits.ours, over.ours, into.ours, false);
    reference.dotColumns(x.theirs, logits.theirs, over.theirs, into.theirs, false);
    same(into, TOLERANCE);
    backend.scaleColumns(logits.ours, by.ours, over.ours, bias.ours, y.ours);
    reference.scaleColumns(logits.theirs, by.theirs, over.theirs, bias.theirs, y.theirs);
    same(y);
    backend.scaleColumns(logits.ours, by.ours, over.ours, bias.ours, logits.ours);
    reference.scaleColumns(logits.theirs, by.theirs, over.theirs, bias.theirs, logits.theirs);
    same(logits, TOLERANCE);
  }

  /** Of a layer, then of a table, whose right factor is turned; seen through a product. */
  @ParameterizedTest
  @CsvSource({"1,1,1", "5,3,2", "19,37,11", "64,129,33"})
  void change_frozenMatrix_isSeenByProductsOrRefused(int out, int in, int r) {
    Twin w = filled(1, out, in);
    FrozenMatrix ours = backend.freeze(w.ours);
    FrozenMatrix theirs = reference.freeze(w.theirs);
    Twin left = filled(1, out, r);
    Twin right = filled(1, r, in);
    if (backend.active() != backend.real()) {
      assertThatThrownBy(() -> backend.change(ours, left.ours, right.ours, false, 0.5))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("too coarse");
      return;
    }
    backend.change(ours, left.ours, right.ours, false, 0.5);
    reference.change(theirs, left.theirs, right.theirs, false, 0.5);
    Twin turned = filled(1, in, r);
    backend.change(ours, left.ours, turned.ours, true, -2);
    reference.change(theirs, left.theirs, turned.theirs, true, -2);
    Twin x = filled(1, 3, in);
    Twin y = empty(3, out);
    backend.linear(x.ours, ours, null, y.ours, false);
    reference.linear(x.theirs, theirs, null, y.theirs, false);
    same(y);
  }

  /** w + s·b·a. */
  private void mergedAlike(FrozenMatrix ours, FrozenMatrix theirs, int r) {
    Twin a = filled(1, r, ours.in());
    Twin b = filled(1, ours.out(), r);
    Twin merged = empty(ours.out(), ours.in());
    backend.merge(ours, b.ours, a.ours, 0.5, merged.ours);
    reference.merge(theirs, b.theirs, a.theirs, 0.5, merged.theirs);
    same(merged);
  }

  /** dx = y·w, or +=, and w + s·b·a. */
  private Twin usedAlike(FrozenMatrix ours, FrozenMatrix theirs, Twin y) {
    int in = ours.in();
    Twin dx = filled(1, y.ours.rows(), in);
    for (boolean accumulate : new boolean[] {true, false}) {
      backend.linearBackward(y.ours, ours, dx.ours, accumulate);
      reference.linearBackward(y.theirs, theirs, dx.theirs, accumulate);
      same(dx);
    }
    mergedAlike(ours, theirs, 2);
    return dx;
  }

  /** Sizes of one block of rows, of several, and of a last one that is shorter. */
  @ParameterizedTest
  @CsvSource({"BF16,3,7,5", "F16,3,7,5", "BF16,2,2048,1100", "F16,1,4099,257", "BF16,3,1024,1025"})
  void halfWidthMatrix_everyUse_equalsReferenceOnItsValues(
      StoredType type, int n, int in, int out) {
    ByteBuffer stored = ByteBuffer.allocate(2 * in * out).order(ByteOrder.LITTLE_ENDIAN);
    DType kept = backend.frozen(type, Storage.AS_STORED);
    Twin w = new Twin(backend.allocate(kept, out, in), reference.allocate(type.kept(), out, in));
    for (int i = 0; i < in * out; i++) {
      short bits = (short) random.nextInt(1 << 16);
      // Keep to exponents around 1: half of all words, no infinities.
      int bias = type == StoredType.BF16 ? 0x3f80 : 0x3c00;
      int fraction = type == StoredType.BF16 ? 0xff : 0x7ff;
      stored.putShort((short) ((bits & (0x8000 | fraction)) | (bias & ~fraction)));
    }
    stored.flip();
    long half = (long) in * out / 2;
    backend.decode(w.ours, 0, stored.slice(0, (int) (2 * half)), type);
    backend.decode(
        w.ours, half, stored.slice((int) (2 * half), stored.limit() - (int) (2 * half)), type);
    reference.decode(w.theirs, 0, stored, type);
    FrozenMatrix ours = backend.freeze(w.ours);
    FrozenMatrix theirs = reference.freeze(w.theirs);
    Twin x = filled(1, n, in);
    Twin y = empty(n, out);
    backend.linear(x.ours, ours, null, y.ours, false);
    reference.linear(x.theirs, theirs, null, y.theirs, false);
    same(y);
    adopt(y);
    Twin dx = usedAlike(ours, theirs, y);
    Twin ids = integers(out - 1, 0, 0, out / 2);
    Twin rows = filled(1, 4, in);
    for (boolean accumulate : new boolean[] {true, false}) {
      backend.embed(ids.ours, ours, rows.ours, accumulate);
      reference.embed(ids.theirs, theirs, rows.theirs, accumulate);
      same(rows);
    }
    Twin turned =
        new Twin(backend.allocate(kept, in, out), reference.allocate(type.kept(), in, out));
    adopt(y);
    backend.transpose(w.ours, turned.ours);
    reference.transpose(w.theirs, turned.theirs);
    backend.linear(y.ours, backend.freeze(turned.ours), null, dx.ours, false);
    reference.linear(y.theirs, reference.freeze(turned.theirs), null, dx.theirs, false);
    same(dx);
    assertThat(ours.bytes() - ours.packedBytes()).isEqualTo(2L * in * out);
  }

  /** Rows that cross blocks of codes, one piece and several in either direction, one element. */
  @ParameterizedTest
  @CsvSource({
    "NF4,false,1,1,1",
    "NF4,false,3,7,5",
    "NF4,true,3,7,5",
    "NF4,false,5,129,70",
    "NF4,true,5,129,70",
    "INT8,false,5,129,70",
    "INT8,true,2,67,33",
    "NF4,false,2,2048,1100",
    "NF4,true,2,1100,2048",
    "NF4,false,3,1024,1025",
    "INT8,true,1,4099,257"
  })
  void codedMatrix_everyUse_equalsReferenceOnItsValues(
      Storage storage, boolean turned, int n, int in, int out) {
    assumeTrue(backend.keepsCodes());
    Twin w = real(1, turned ? in : out, turned ? out : in);
    FrozenMatrix ours = backend.coded(storage, turned, out, in);
    FrozenMatrix theirs = reference.coded(storage, turned, out, in);
    long bytes = ours.bytes();
    backend.code(w.ours, ours);
    reference.code(w.theirs, theirs);
    backend.zero(w.ours); // the codes have memory of their own
    assertThat(ours.out()).isEqualTo(out);
    assertThat(ours.in()).isEqualTo(in);
    assertThat(ours.bytes()).isEqualTo(bytes);
    Twin x = filled(1, n, in);
    Twin bias = real(1, out);
    Twin y = filled(1, n, out);
    for (boolean accumulate : new boolean[] {true, false}) {
      backend.linear(x.ours, ours, bias.ours, y.ours, accumulate);
      reference.linear(x.theirs, theirs, bias.theirs, y.theirs, accumulate);
      same(y);
      backend.linear(x.ours, ours, null, y.ours, accumulate);
      reference.linear(x.theirs, theirs, null, y.theirs, accumulate);
      same(y);
    }
    adopt(y);
    usedAlike(ours, theirs, y);
    Twin squares = empty(backend.real(), out);
    backend.rowSquares(ours, squares.ours);
    reference.rowSquares(theirs, squares.theirs);
    same(squares, backend.active() == DType.BF16 ? HALF_WIDTH_TOLERANCE : TOLERANCE);
    Twin ids = integers(out - 1, 0, out / 2);
    Twin rows = empty(3, in);
    backend.embed(ids.ours, ours, rows.ours, false);
    reference.embed(ids.theirs, theirs, rows.theirs, false);
    same(rows);
    Twin a = filled(1, 2, in);
    Twin b = filled(1, out, 2);
    assertThatThrownBy(() -> backend.change(ours, b.ours, a.ours, false, 0.5))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("too coarse");
    ours.release();
    assertThatThrownBy(() -> backend.linear(x.ours, ours, null, y.ours, false))
        .isInstanceOf(IllegalStateException.class);
  }

  /** 71 rows are more than a thread takes at a time. */
  @ParameterizedTest
  @CsvSource({"11,71,5", "1,1,1", "1,67,3", "7,1,13", "13,5,1"})
  void rows_gatheredScatteredAndBiased_equalReference(int entries, int rows, int d) {
    Twin table = filled(1, entries, d);
    int[] id = new int[rows];
    for (int n = 0; n < id.length; n++) {
      id[n] = n * n % entries;
    }
    Twin ids = integers(id);
    Twin out = filled(1, rows, d);
    FrozenMatrix ours = backend.freeze(table.ours);
    FrozenMatrix theirs = reference.freeze(table.theirs);
    for (boolean accumulate : new boolean[] {true, false}) {
      backend.embed(ids.ours, ours, out.ours, accumulate);
      reference.embed(ids.theirs, theirs, out.theirs, accumulate);
      same(out);
    }
    backend.gatherRows(table.ours, ids.ours, out.ours);
    reference.gatherRows(table.theirs, ids.theirs, out.theirs);
    same(out);
    for (Twin dx : List.of(filled(1, entries, d), real(1, entries, d))) {
      for (boolean accumulate : new boolean[] {true, false}) {
        backend.gatherRowsBackward(out.ours, ids.ours, dx.ours, accumulate);
        reference.gatherRowsBackward(out.theirs, ids.theirs, dx.theirs, accumulate);
        same(dx);
      }
    }
    Twin bias = real(1, d);
    backend.addBias(out.ours, bias.ours);
    reference.addBias(out.theirs, bias.theirs);
    same(out);
    adopt(out);
    for (boolean accumulate : new boolean[] {true, false}) {
      backend.addBiasBackward(out.ours, bias.ours, accumulate);
      reference.addBiasBackward(out.theirs, bias.theirs, accumulate);
      same(bias);
    }
    Twin sum = filled(1, rows, d);
    backend.add(out.ours, sum.ours, sum.ours);
    reference.add(out.theirs, sum.theirs, sum.theirs);
    same(sum);
    backend.zero(sum.ours);
    reference.zero(sum.theirs);
    same(sum);
  }

  @ParameterizedTest
  @CsvSource({"1,1,1", "3,2,1", "5,31,1", "7,384,100"})
  void layerNorm_forwardAndBackward_equalReference(int n, int d, double scale) {
    Twin x = filled(scale, n, d);
    Twin gamma = real(1, d);
    Twin beta = real(1, d);
    Twin y = empty(n, d);
    Twin statistics = empty(backend.real(), n, 2);
    backend.layerNorm(x.ours, gamma.ours, beta.ours, 1e-5, y.ours, statistics.ours);
    reference.layerNorm(x.theirs, gamma.theirs, beta.theirs, 1e-5, y.theirs, statistics.theirs);
    same(y);
    Twin dy = filled(1, n, d);
    Twin dx = empty(n, d);
    backend.layerNormBackward(dy.ours, x.ours, gamma.ours, 1e-5, statistics.ours, dx.ours);
    reference.layerNormBackward(
        dy.theirs, x.theirs, gamma.theirs, 1e-5, statistics.theirs, dx.theirs);
    if (d > 2) { // of one or two columns the gradient is a difference of equals
      same(dx);
    }
  }

  @ParameterizedTest
  @CsvSource({"1,1,1", "3,2,1", "5,31,0.01", "7,384,100"})
  void rmsNorm_forwardAndBackward_equalReference(int n, int d, double scale) {
    Twin x = filled(scale, n, d);
    Twin gamma = real(1, d);
    Twin y = empty(n, d);
    Twin statistics = empty(backend.real(), n, 1);
    backend.rmsNorm(x.ours, gamma.ours, 1e-5, y.ours, statistics.ours);
    reference.rmsNorm(x.theirs, gamma.theirs, 1e-5, y.theirs, statistics.theirs);
    same(y);
    Twin dy = filled(1, n, d);
    Twin dx = empty(n, d);
    backend.rmsNormBackward(dy.ours, x.ours, gamma.ours, 1e-5, statistics.ours, dx.ours);
    reference.rmsNormBackward(
        dy.theirs, x.theirs, gamma.theirs, 1e-5, statistics.theirs, dx.theirs);
    if (d > 1) { // of one column the gradient is a difference of equals
      same(dx);
    }
  }

  @ParameterizedTest
  @CsvSource({"4,1,1", "4,3,2", "131,5,7"})
  void rope_thereAndBack_equalsReferenceAndIsItsOwnInverse(int rows, int heads, int half) {
    Twin x = filled(1, rows, (long) heads * 2 * half);
    float[] before = new float[(int) x.ours.elements()];
    backend.read(x.ours, before);
    int[] position = new int[rows];
    for (int n = 0; n < rows; n++) {
      position[n] = n < 3 ? 17 * n : 4095 - 7 * n;
    }
    Twin positions = integers(position);
    double[] frequencies = new double[half];
    for (int i = 0; i < half; i++) {
      frequencies[i] = Math.pow(10_000, -(double) i / half);
    }
    backend.rope(x.ours, positions.ours, frequencies, false);
    reference.rope(x.theirs, positions.theirs, frequencies, false);
    same(x);
    backend.rope(x.ours, positions.ours, frequencies, true);
    reference.rope(x.theirs, positions.theirs, frequencies, true);
    same(x);
    float[] after = new float[before.length];
    backend.read(x.ours, after);
    float rounding = x.ours.type() == DType.BF16 ? 3e-2f : 1e-5f;
    for (int i = 0; i < before.length; i++) {
      assertThat(after[i]).isCloseTo(before[i], org.assertj.core.data.Offset.offset(rounding));
    }
  }

  @ParameterizedTest
  @CsvSource({"1,1", "1,101", "13,1", "7,43"})
  void swiGlu_forwardAndBackward_equalReference(int n, int d) {
    Twin gate = filled(3, n, d);
    Twin up = filled(1, n, d);
    Twin out = empty(n, d);
    backend.swiGlu(gate.ours, up.ours, out.ours);
    reference.swiGlu(gate.theirs, up.theirs, out.theirs);
    same(out);
    Twin dout = filled(1, n, d);
    Twin dup = empty(n, d);
    backend.swiGluBackward(gate.ours, up.ours, dout.ours, dout.ours, dup.ours);
    reference.swiGluBackward(gate.theirs, up.theirs, dout.theirs, dout.theirs, dup.theirs);
    same(dout);
    same(dup);
  }

  @ParameterizedTest
  @CsvSource({"1,1", "1,7", "5,3"})
  void transpose_equalsReference(int rows, int columns) {
    Twin x = filled(1, rows, columns);
    Twin y = empty(columns, rows);
    backend.transpose(x.ours, y.ours);
    reference.transpose(x.theirs, y.theirs);
    same(y);
  }

  /** The last columns are put, others taken. */
  @ParameterizedTest
  @CsvSource({"1,1,1,0", "5,9,3,2", "131,7,1,5", "67,31,31,0"})
  void columns_takenAndPut_equalReference(int rows, int all, int some, int from) {
    Twin wide = filled(1, rows, all);
    Twin part = filled(1, rows, some);
    backend.putColumns(part.ours, all - some, wide.ours);
    reference.putColumns(part.theirs, all - some, wide.theirs);
    same(wide);
    backend.takeColumns(wide.ours, from, part.ours);
    reference.takeColumns(wide.theirs, from, part.theirs);
    same(part);
  }

  /** Any number of columns in any order, some of them more than once. */
  @ParameterizedTest
  @CsvSource({"1,1,1", "5,7,4", "131,3,17", "2,1031,257"})
  void columns_gathered_equalReference(int rows, int all, int some) {
    Twin x = filled(1, rows, all);
    Twin columns = integers(random.ints(some, 0, all).toArray());
    Twin out = filled(1, rows, some);
    backend.gatherColumns(x.ours, columns.ours, out.ours);
    reference.gatherColumns(x.theirs, columns.theirs, out.theirs);
    same(out, 0);
  }

  /** Between all pairs of types that activations and trainables have. */
  @ParameterizedTest
  @CsvSource({"1,1", "1,7", "13,1", "101,67"})
  void convert_realAndActive_equalsReference(int rows, int columns) {
    for (DType from : List.of(backend.real(), backend.active())) {
      for (DType to : List.of(backend.real(), backend.active())) {
        Twin x = filled(from, 1, rows, columns);
        Twin y = filled(to, 1, rows, columns);
        backend.convert(x.ours, y.ours);
        reference.convert(x.theirs, y.theirs);
        same(y);
      }
    }
  }

  /** Into a third tensor, the first and the second. */
  @ParameterizedTest
  @CsvSource({"1,1", "1,7", "13,1", "101,67"})
  void add_anywhere_equalsReference(int rows, int columns) {
    Twin a = filled(1, rows, columns);
    Twin b = filled(1, rows, columns);
    Twin c = filled(1, rows, columns);
    for (Twin out : List.of(c, a, b)) {
      backend.add(a.ours, b.ours, out.ours);
      reference.add(a.theirs, b.theirs, out.theirs);
      same(out);
      adopt(out);
    }
  }

  @ParameterizedTest
  @EnumSource(Activation.class)
  void activation_forwardAndBackward_equalReference(Activation kind) {
    for (long[] shape : new long[][] {{1, 1}, {1, 101}, {13, 1}, {7, 43}}) {
      // Approximations of erf and tanh are 2e-5 of a small value off, which counts where it is
      // alone.
      boolean alone = Tensor.elements(shape) == 1;
      for (double scale : alone ? new double[] {0, 3} : new double[] {0, 0.01, 1, 3}) {
        Twin x = filled(scale, shape);
        Twin y = empty(shape);
        backend.activation(kind, x.ours, y.ours);
        reference.activation(kind, x.theirs, y.theirs);
        same(y);
        Twin dy = filled(1, shape);
        backend.activationBackward(kind, x.ours, y.ours, dy.ours, dy.ours);
        reference.activationBackward(kind, x.theirs, y.theirs, dy.theirs, dy.theirs);
        same(dy);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1,1,1,1,1,false",
    "1,7,1,1,5,false",
    "2,1,3,3,4,true",
    "3,11,2,2,8,false",
    "2,17,12,12,32,true",
    "2,5,4,2,6,true",
    "3,7,6,1,4,true",
    "2,3,6,2,2,false"
  })
  void attention_paddedSequences_equalsReference(
      int batch, int tokens, int heads, int kvHeads, int size, boolean causal) {
    int[] length = new int[batch];
    for (int b = 0; b < batch; b++) {
      length[b] = b == 0 ? tokens : 1 + random.nextInt(tokens);
    }
    checkAttention(
        new AttentionShape(batch, tokens, heads, kvHeads, size, causal),
        new int[batch * tokens],
        length);
  }

  /** Rows that hold several sequences, one without any real token, queries that see no key. */
  @ParameterizedTest
  @CsvSource({"true", "false"})
  void attention_sequencesBehindEachOther_looksAtItsOwnOnly(boolean causal) {
    int[] starts = {0, 0, 0, 3, 3, 5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 4};
    checkAttention(
        new AttentionShape(3, 7, 4, 2, 3, causal), starts, new int[] {7, 0, causal ? 5 : 3});
  }

  /**
   * Rows of several blocks of queries and of more heads than are computed together; some look at
   * the same keys and others do not: whole, short, several sequences behind each other, empty.
   */
  @ParameterizedTest
  @CsvSource({
    "12,12,4,true",
    "12,12,4,false",
    "12,4,4,true",
    "3,1,4,false",
    "2,1,32,true",
    "4,2,64,true",
    "2,1,128,true",
    "1,1,128,false",
    "4,4,128,true"
  })
  void attention_longRowsThatLookAtDifferentKeys_equalsReference(
      int heads, int kvHeads, int size, boolean causal) {
    int tokens = 141;
    int[] length = {tokens, tokens, 70, tokens, 0, tokens};
    int[] starts = new int[length.length * tokens];
    for (int t = 66; t < tokens; t++) {
      starts[3 * tokens + t] = t < 131 ? 66 : 131;
      starts[5 * tokens + t] = tokens; // sees nothing
    }
    checkAttention(
        new AttentionShape(length.length, tokens, heads, kvHeads, size, causal), starts, length);
  }

  /** Queries that are the last of longer sequences, as in generation; no backward there. */
  @ParameterizedTest
  @CsvSource({"1,1,1", "1,1,17", "2,3,8", "1,5,5"})
  void attention_keysKeptFromEarlier_equalsReference(int batch, int queries, int keys) {
    int[] length = new int[batch];
    Arrays.fill(length, keys);
    AttentionShape shape = new AttentionShape(batch, queries, keys, 6, 2, 4, true);
    checkForward(shape, new int[batch * queries], ends(shape, length), new ArrayList<>());
  }

  /**
   * Sequences behind each other that look both ways, and a few queries over the keys of whole rows,
   * as where a classifier reads only the first token of each: some share keys, some see none.
   */
  @ParameterizedTest
  @CsvSource({"4,2,4", "3,3,4", "12,12,4", "2,1,64"})
  void attention_anyRangeOfKeys_equalsReference(int heads, int kvHeads, int size) {
    int[] starts = {0, 0, 0, 2, 2, 0, 6, 6, 0, 0, 0, 0, 4, 4};
    int[] ends = {2, 2, 0, 5, 5, 0, 7, 7, 4, 4, 4, 4, 7, 7};
    checkRanges(new AttentionShape(2, 7, heads, kvHeads, size - 1, false), starts, ends);
    int[] first = {0, 131, 300, 0, 7};
    int[] last = {131, 300, 301, 0, 8};
    checkRanges(new AttentionShape(1, 5, 301, heads, kvHeads, size, false), first, last);
  }

  /** Ends of rows of so many real keys. */
  static int[] ends(AttentionShape s, int[] length) {
    int[] ends = new int[s.batch() * s.tokens()];
    for (int i = 0; i < ends.length; i++) {
      int real = length[i / s.tokens()];
      int own = s.keys() - s.tokens() + i % s.tokens() + 1;
      ends[i] = s.causal() ? Math.min(own, real) : real;
    }
    return ends;
  }

  private void checkAttention(AttentionShape shape, int[] starts, int[] length) {
    checkRanges(shape, starts, ends(shape, length));
  }

  private void checkRanges(AttentionShape shape, int[] starts, int[] ends) {
    long[] flat = {(long) shape.batch() * shape.tokens(), shape.hidden()};
    long[] kvFlat = {(long) shape.batch() * shape.keys(), shape.kvHidden()};
    List<Twin> inputs = new ArrayList<>();
    checkForward(shape, starts, ends, inputs);
    Twin q = inputs.get(0);
    Twin k = inputs.get(1);
    Twin v = inputs.get(2);
    Twin first = inputs.get(3);
    Twin last = inputs.get(4);
    Twin kept = inputs.get(5);
    Twin context = inputs.get(6);
    Twin scratch = emptyScratch(shape);
    Twin dc = filled(1, flat);
    List<Twin> gradients = new ArrayList<>();
    for (long[] like : List.of(flat, kvFlat, kvFlat)) {
      gradients.add(filled(1, like));
    }
    backend.attentionBackward(
        shape,
        q.ours,
        k.ours,
        v.ours,
        first.ours,
        last.ours,
        kept.ours,
        context.ours,
        dc.ours,
        gradients.get(0).ours,
        gradients.get(1).ours,
        gradients.get(2).ours,
        scratch.ours);
    reference.attentionBackward(
        shape,
        q.theirs,
        k.theirs,
        v.theirs,
        first.theirs,
        last.theirs,
        kept.theirs,
        context.theirs,
        dc.theirs,
        gradients.get(0).theirs,
        gradients.get(1).theirs,
        gradients.get(2).theirs,
        scratch.theirs);
    gradients.forEach(this::same);
  }

  private void checkForward(AttentionShape shape, int[] starts, int[] ends, List<Twin> into) {
    long[] flat = {(long) shape.batch() * shape.tokens(), shape.hidden()};
    long[] kvFlat = {(long) shape.batch() * shape.keys(), shape.kvHidden()};
    Twin q = filled(1, flat);
    Twin k = filled(1, kvFlat);
    Twin v = filled(1, kvFlat);
    Twin first = integers(starts);
    Twin last = integers(ends);
    Twin kept =
        new Twin(
            backend.allocate(backend.active(), backend.attentionKept(shape)),
            reference.allocate(DType.F64, reference.attentionKept(shape)));
    Twin context = filled(1, flat);
    Twin scratch = emptyScratch(shape);
    backend.attention(
        shape,
        q.ours,
        k.ours,
        v.ours,
        first.ours,
        last.ours,
        kept.ours,
        context.ours,
        scratch.ours);
    reference.attention(
        shape,
        q.theirs,
        k.theirs,
        v.theirs,
        first.theirs,
        last.theirs,
        kept.theirs,
        context.theirs,
        scratch.theirs);
    same(context);
    into.addAll(List.of(q, k, v, first, last, kept, context));
  }

  private Twin emptyScratch(AttentionShape shape) {
    return new Twin(
        backend.allocate(backend.real(), backend.attentionScratch(shape)),
        reference.allocate(DType.F64, reference.attentionScratch(shape)));
  }

  @ParameterizedTest
  @CsvSource({"1,1", "5,2", "7,31", "3,2053"})
  void crossEntropy_someRowsIgnored_equalsReference(int n, int classes) {
    Twin logits = real(5, n, classes);
    int[] label = new int[n];
    for (int i = 0; i < n; i++) {
      label[i] = i % 3 == 2 ? Backend.IGNORED : random.nextInt(classes);
    }
    Twin labels = integers(label);
    Twin losses = real(1, n);
    Twin dlogits = filled(1, n, classes);
    backend.crossEntropy(logits.ours, labels.ours, losses.ours, dlogits.ours);
    reference.crossEntropy(logits.theirs, labels.theirs, losses.theirs, dlogits.theirs);
    same(losses);
    same(dlogits);
    Twin again = real(5, n, classes); // the first logits may be gone
    backend.crossEntropy(again.ours, labels.ours, losses.ours, null);
    reference.crossEntropy(again.theirs, labels.theirs, losses.theirs, null);
    same(losses);
  }

  /** Rows of padding alone: no loss, and no gradient whatever the logits. */
  @ParameterizedTest
  @CsvSource({"1,1", "3,2", "7,31"})
  void crossEntropy_everyRowIgnored_isZero(int n, int classes) {
    int[] label = new int[n];
    Arrays.fill(label, Backend.IGNORED);
    Twin labels = integers(label);
    Twin losses = real(1, n);
    Twin dlogits = filled(1, n, classes);
    backend.crossEntropy(real(5, n, classes).ours, labels.ours, losses.ours, dlogits.ours);
    float[] loss = new float[n];
    backend.read(losses.ours, loss);
    assertThat(loss).containsOnly(0f);
    float[] gradient = new float[n * classes];
    backend.read(dlogits.ours, gradient);
    assertThat(gradient).containsOnly(0f);
  }

  @Test
  void crossEntropy_hugeLogits_staysFinite() {
    Tensor logits = backend.allocate(backend.real(), 1, 3);
    backend.write(logits, 0, new float[] {1e4f, -1e4f, 0}, 0, 3);
    Tensor labels = backend.allocate(DType.I32, 1);
    backend.write(labels, new int[] {1});
    Tensor losses = backend.allocate(backend.real(), 1);
    backend.crossEntropy(logits, labels, losses, null);
    float[] loss = new float[1];
    backend.read(losses, loss);
    assertThat(loss[0]).isEqualTo(2e4f);
  }

  /**
   * p is 1 but for 0.0025, which is all that the label's gradient has: of p rounded to bf16 0.0039.
   */
  @Test
  void crossEntropy_modelThatIsSure_leavesASmallGradient() {
    Tensor logits = backend.allocate(backend.real(), 1, 2);
    backend.write(logits, 0, new float[] {6, 0}, 0, 2);
    Tensor labels = backend.allocate(DType.I32, 1);
    backend.write(labels, new int[] {0});
    Tensor losses = backend.allocate(backend.real(), 1);
    Tensor dlogits = backend.allocate(backend.active(), 1, 2);
    backend.crossEntropy(logits, labels, losses, dlogits);
    float[] gradient = new float[2];
    backend.read(dlogits, gradient);
    assertThat(gradient[0]).isCloseTo(-2.4726e-3f, withinPercentage(2));
    assertThat(gradient[1]).isCloseTo(2.4726e-3f, withinPercentage(2));
  }

  @ParameterizedTest
  @CsvSource({"1,1", "7,31", "131,5", "2,1031"})
  void dropout_anySize_equalsReference(int rows, int columns) {
    Twin x = filled(1, rows, columns);
    Tensor ours = backend.allocate(DType.I64, rows);
    Tensor theirs = reference.allocate(DType.I64, rows);
    long[] keys = random.longs(rows).toArray();
    backend.write(ours, keys);
    reference.write(theirs, keys);
    Twin y = empty(rows, columns);
    backend.dropout(x.ours, ours, 3, 0.5, y.ours);
    reference.dropout(x.theirs, theirs, 3, 0.5, y.theirs);
    same(y);
  }

  @Test
  void dropout_maskDependsOnRowKeyAndLayerOnly() {
    Twin x = filled(1, 3, 400);
    long[] keys = {5, 9, 5};
    Tensor ours = backend.allocate(DType.I64, 3);
    Tensor theirs = reference.allocate(DType.I64, 3);
    backend.write(ours, keys);
    reference.write(theirs, keys);
    Twin y = empty(3, 400);
    backend.dropout(x.ours, ours, 2, 0.25, y.ours);
    reference.dropout(x.theirs, theirs, 2, 0.25, y.theirs);
    same(y);
    float[] dropped = new float[1200];
    backend.read(y.ours, dropped);
    int zeros = 0;
    for (int c = 0; c < 400; c++) {
      assertThat(dropped[c] == 0).isEqualTo(dropped[800 + c] == 0);
      zeros += dropped[c] == 0 ? 1 : 0;
    }
    assertThat(zeros).isBetween(70, 130); // 100 ± 3.5 standard deviations
  }

  @Test
  void decode_everyStoredType_isExact() {
    Tensor t = backend.allocate(backend.real(), 5);
    ByteBuffer f32 = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    f32.putFloat(1.5f).putFloat(-3e-41f).flip();
    backend.decode(t, 0, f32, StoredType.F32);
    ByteBuffer bf16 = ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN);
    bf16.putShort((short) 0xC049).flip();
    backend.decode(t, 2, bf16, StoredType.BF16);
    ByteBuffer f16 = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN);
    f16.putShort((short) 0x3555).putShort((short) 0x8001).flip();
    backend.decode(t, 3, f16, StoredType.F16);
    float[] found = new float[5];
    backend.read(t, found);
    assertThat(found).containsExactly(1.5f, -3e-41f, -3.140625f, 0x1.554p-2f, -0x1p-24f);
  }

  @Test
  void arena_growsOnceAndThenKeepsItsMemory() {
    try (Arena arena = new Arena(backend)) {
      Tensor small = arena.lay(layout -> layout.real(3, 5));
      assertThat(arena.generation()).isEqualTo(1);
      arena.lay(layout -> List.of(layout.real(2, 2), layout.take(DType.I32, 4)));
      long bytes = arena.bytes();
      arena.lay(layout -> List.of(layout.real(15), layout.take(DType.I32, 1)));
      assertThat(arena.bytes()).isEqualTo(bytes);
      assertThat(small.elements()).isEqualTo(15);
    }
  }
}
