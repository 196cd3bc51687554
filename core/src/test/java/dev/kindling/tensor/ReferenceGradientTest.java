package dev.kindling.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The oracle's own backwards against central differences: ⟨dy, f(x + εv) − f(x − εv)⟩ / 2ε = ⟨dx,
 * v⟩ for random x, v and dy. What holds here holds for every backend that equals the reference.
 */
class ReferenceGradientTest {
  private static final double EPSILON = 1e-5;

  private final Backend backend = new ReferenceBackend();
  private final Random random = new Random(31);

  private Tensor empty(long... shape) {
    return backend.allocate(DType.F64, shape);
  }

  private Tensor filled(long... shape) {
    Tensor t = empty(shape);
    for (int i = 0; i < t.elements(); i++) {
      ReferenceBackend.set(t, i, random.nextGaussian());
    }
    return t;
  }

  private Tensor integers(int... values) {
    Tensor t = backend.allocate(DType.I32, values.length);
    backend.write(t, values);
    return t;
  }

  /** Checks a computed dx; forward rewrites y from x. */
  private void check(Tensor x, Tensor dx, Tensor y, Tensor dy, Runnable forward) {
    double[] at = ReferenceBackend.values(x);
    double[] gradient = ReferenceBackend.values(dx);
    double[] above = ReferenceBackend.values(dy);
    double[] direction = random.doubles(at.length, -1, 1).toArray();
    double expected = 0;
    for (int i = 0; i < at.length; i++) {
      expected += gradient[i] * direction[i];
    }
    double found = 0;
    for (int sign : new int[] {1, -1}) {
      for (int i = 0; i < at.length; i++) {
        ReferenceBackend.set(x, i, at[i] + sign * EPSILON * direction[i]);
      }
      forward.run();
      double[] out = ReferenceBackend.values(y);
      for (int i = 0; i < out.length; i++) {
        found += sign * above[i] * out[i] / (2 * EPSILON);
      }
    }
    for (int i = 0; i < at.length; i++) {
      ReferenceBackend.set(x, i, at[i]);
    }
    forward.run();
    assertThat(expected).isNotZero();
    assertThat(found).isCloseTo(expected, offset(1e-7 * Math.max(1, Math.abs(expected))));
  }

  @ParameterizedTest
  @CsvSource({"1,1,1", "5,7,3", "4,1,11"})
  void linear_input_matchesDifferences(int n, int in, int out) {
    Tensor x = filled(n, in);
    Tensor bias = filled(out);
    FrozenMatrix w = backend.freeze(filled(out, in));
    Tensor y = empty(n, out);
    Tensor dy = filled(n, out);
    Tensor dx = empty(n, in);
    backend.linearBackward(dy, w, dx, false);
    check(x, dx, y, dy, () -> backend.linear(x, w, bias, y, false));
  }

  /** With op(a) · op(b) = c: da = dc·op(b)ᵀ and db = op(a)ᵀ·dc, each transposed if a or b was. */
  @ParameterizedTest
  @CsvSource({"false,false", "true,false", "false,true", "true,true"})
  void matmul_bothFactors_matchDifferences(boolean ta, boolean tb) {
    Tensor a = ta ? filled(7, 5) : filled(5, 7);
    Tensor b = tb ? filled(3, 7) : filled(7, 3);
    Tensor c = empty(5, 3);
    Tensor dc = filled(5, 3);
    Runnable forward = () -> backend.matmul(a, ta, b, tb, 1.5, 0, c);
    Tensor da = empty(a.shape());
    Tensor db = empty(b.shape());
    if (ta) {
      backend.matmul(b, tb, dc, true, 1.5, 0, da);
    } else {
      backend.matmul(dc, false, b, !tb, 1.5, 0, da);
    }
    if (tb) {
      backend.matmul(dc, true, a, ta, 1.5, 0, db);
    } else {
      backend.matmul(a, !ta, dc, false, 1.5, 0, db);
    }
    check(a, da, c, dc, forward);
    check(b, db, c, dc, forward);
  }

  @Test
  void gatherRows_repeatedRows_matchDifferences() {
    Tensor x = filled(11, 5);
    Tensor rows = integers(3, 0, 10, 3);
    Tensor y = empty(4, 5);
    Tensor dy = filled(4, 5);
    Tensor dx = filled(11, 5);
    backend.gatherRowsBackward(dy, rows, dx, false);
    check(x, dx, y, dy, () -> backend.gatherRows(x, rows, y));
  }

  @Test
  void addBias_bias_matchesDifferences() {
    Tensor x = filled(7, 3);
    Tensor bias = filled(3);
    Tensor y = empty(7, 3);
    Tensor dy = filled(7, 3);
    Tensor db = filled(3);
    backend.addBiasBackward(dy, db, false);
    check(
        bias,
        db,
        y,
        dy,
        () -> {
          backend.zero(y);
          backend.add(y, x, y);
          backend.addBias(y, bias);
        });
  }

  @ParameterizedTest
  @CsvSource({"0.1", "0.7"})
  void dropout_isItsOwnBackward(double rate) {
    Tensor x = filled(13, 11);
    Tensor keys = backend.allocate(DType.I64, 13);
    backend.write(keys, random.longs(13).toArray());
    Tensor y = empty(13, 11);
    Tensor dy = filled(13, 11);
    Tensor dx = empty(13, 11);
    backend.dropout(dy, keys, 3, rate, dx);
    check(x, dx, y, dy, () -> backend.dropout(x, keys, 3, rate, y));
  }

  @ParameterizedTest
  @CsvSource({"1,2", "5,31"})
  void layerNorm_input_matchesDifferences(int n, int d) {
    Tensor x = filled(n, d);
    Tensor gamma = filled(d);
    Tensor beta = filled(d);
    Tensor y = empty(n, d);
    Tensor statistics = empty(n, 2);
    Runnable forward = () -> backend.layerNorm(x, gamma, beta, 1e-2, y, statistics);
    forward.run();
    Tensor dy = filled(n, d);
    Tensor dx = empty(n, d);
    backend.layerNormBackward(dy, x, gamma, 1e-5, statistics, dx);
    check(x, dx, y, dy, forward);
  }

  @Test
  void rmsNorm_matchesDifferences() {
    Tensor x = filled(5, 7);
    Tensor gamma = filled(7);
    Tensor y = empty(5, 7);
    Tensor statistics = empty(5, 1);
    Runnable forward = () -> backend.rmsNorm(x, gamma, 1e-2, y, statistics);
    forward.run();
    Tensor dy = filled(5, 7);
    Tensor dx = empty(5, 7);
    backend.rmsNormBackward(dy, x, gamma, 1e-5, statistics, dx);
    check(x, dx, y, dy, forward);
  }

  /** In place, so the function under test copies first; its gradient is the rotation back. */
  @Test
  void rope_matchesDifferences() {
    Tensor x = filled(3, 8);
    Tensor y = empty(3, 8);
    Tensor positions = integers(0, 5, 11);
    double[] frequencies = {1, 0.1};
    Runnable forward =
        () -> {
          backend.takeColumns(x, 0, y);
          backend.rope(y, positions, frequencies, false);
        };
    forward.run();
    Tensor dy = filled(3, 8);
    Tensor dx = empty(3, 8);
    backend.takeColumns(dy, 0, dx);
    backend.rope(dx, positions, frequencies, true);
    check(x, dx, y, dy, forward);
  }

  @Test
  void swiGlu_matchesDifferences() {
    Tensor gate = filled(5, 7);
    Tensor up = filled(5, 7);
    Tensor y = empty(5, 7);
    Runnable forward = () -> backend.swiGlu(gate, up, y);
    forward.run();
    Tensor dy = filled(5, 7);
    Tensor dgate = empty(5, 7);
    Tensor dup = empty(5, 7);
    backend.swiGluBackward(gate, up, dy, dgate, dup);
    check(gate, dgate, y, dy, forward);
    check(up, dup, y, dy, forward);
  }

  @ParameterizedTest
  @EnumSource(Activation.class)
  void activation_everyKind_matchesDifferences(Activation kind) {
    Tensor x = filled(5, 17);
    Tensor y = empty(5, 17);
    Runnable forward = () -> backend.activation(kind, x, y);
    forward.run();
    Tensor dy = filled(5, 17);
    Tensor dx = empty(5, 17);
    backend.activationBackward(kind, x, y, dy, dx);
    check(x, dx, y, dy, forward);
  }

  /**
   * Sequences of full length, one token and between, so that padding has no say in any gradient.
   */
  @ParameterizedTest
  @CsvSource({"1,2,1,1,1,false", "3,7,2,2,5,false", "3,5,4,2,3,true", "1,4,3,1,2,true"})
  void attention_paddedSequences_matchesDifferences(
      int batch, int tokens, int heads, int kvHeads, int size, boolean causal) {
    AttentionShape shape = new AttentionShape(batch, tokens, heads, kvHeads, size, causal);
    long[] flat = {(long) batch * tokens, shape.hidden()};
    long[] kvFlat = {(long) batch * tokens, shape.kvHidden()};
    Tensor q = filled(flat);
    Tensor k = filled(kvFlat);
    Tensor v = filled(kvFlat);
    int[] lengths = batch == 1 ? new int[] {tokens} : new int[] {4, tokens, 1};
    Tensor ends = integers(BackendContract.ends(shape, lengths));
    Tensor starts = integers(new int[batch * tokens]);
    Tensor p = empty(batch, heads, tokens, tokens);
    Tensor y = empty(flat);
    Tensor scratch = empty(backend.attentionScratch(shape));
    Runnable forward = () -> backend.attention(shape, q, k, v, starts, ends, p, y, scratch);
    forward.run();
    Tensor dy = filled(flat);
    Tensor dq = filled(flat);
    Tensor dk = filled(kvFlat);
    Tensor dv = filled(kvFlat);
    backend.attentionBackward(shape, q, k, v, starts, ends, p, y, dy, dq, dk, dv, scratch);
    for (List<Tensor> pair : List.of(List.of(q, dq), List.of(k, dk), List.of(v, dv))) {
      check(pair.get(0), pair.get(1), y, dy, forward);
    }
  }

  @Test
  void crossEntropy_someRowsIgnored_matchesDifferences() {
    Tensor logits = filled(5, 7);
    Tensor labels = integers(3, Backend.IGNORED, 0, 6, 6);
    Tensor losses = empty(5);
    Tensor dlogits = empty(5, 7);
    backend.crossEntropy(logits, labels, losses, dlogits);
    Tensor ones = empty(5);
    for (int i = 0; i < 5; i++) {
      ReferenceBackend.set(ones, i, 1);
    }
    check(logits, dlogits, losses, ones, () -> backend.crossEntropy(logits, labels, losses, null));
  }
}
